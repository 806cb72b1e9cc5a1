// store.js -- the clips of the review and their saving: one change of a clip under way at a time, acknowledged when on disk.

const header = {"X-Verge": "1", "Content-Type": "application/json"};

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message ?? `The server answered ${status}.`);
    this.status = status;
    this.body = body;
  }
}

async function ask(address, options) {
  const response = await fetch(address, options).catch(() => {
    throw new Refused(0, {message: "verge data review does not answer; is it still running?"});
  });
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, body);
  return body;
}

export const soundAddress = clip => `/api/sound?media=${encodeURIComponent(clip.media)}`;

/** Tells `changed(clip)` whenever a clip is another, `state(word, problem)` how saving goes: saved, saving, problem. */
export class Store {
  #clips = new Map();
  #waiting = new Map(); // media -> the change that is to be saved next
  #busy = new Set();
  #problem = null;
  #tell;

  constructor(tell) {
    this.#tell = tell;
  }

  async load() {
    const list = await ask("/api/clips");
    this.#clips = new Map(list.clips.map(clip => [clip.media, clip]));
    return list;
  }

  get all() {
    return [...this.#clips.values()];
  }
  find(media) {
    return this.#clips.get(media);
  }
  get isSaved() {
    return !this.#busy.size && !this.#waiting.size;
  }

  /** Saves members of a clip (text, reviewed, speaker, room, device); the last change of each member counts. */
  change(media, members) {
    Object.assign(this.#clips.get(media), members);
    this.#waiting.set(media, {...this.#waiting.get(media), ...members});
    this.#save(media);
  }

  /** Once more, what could not be saved. */
  retry() {
    for (const media of [...this.#waiting.keys()]) this.#save(media);
  }

  async #save(media) {
    if (this.#busy.has(media) || !this.#waiting.has(media)) return this.#report();
    const members = this.#waiting.get(media);
    this.#waiting.delete(media);
    this.#busy.add(media);
    this.#report();
    try {
      const {revision} = this.#clips.get(media);
      const stored = await ask(`/api/clip?media=${encodeURIComponent(media)}`, {
        method: "PUT",
        headers: header,
        body: JSON.stringify({...members, revision}),
      });
      this.#problem = null;
      this.#clips.get(media).revision = stored.revision;
    } catch (error) {
      if (error.status === 409) this.#conflict(media, members, error.body.clip);
      else {
        this.#problem = error;
        this.#waiting.set(media, {...members, ...this.#waiting.get(media)});
        if (error.status >= 400 && error.status < 500) this.#waiting.delete(media);
      }
    }
    this.#busy.delete(media);
    if (!this.#problem && this.#waiting.has(media)) return this.#save(media);
    this.#report();
  }

  /** Another tab was first: its version stays, what was typed here becomes an alternative of it. */
  #conflict(media, members, stored) {
    const clip = this.#clips.get(media);
    this.#waiting.delete(media);
    Object.assign(clip, stored);
    if (members.text !== undefined && members.text !== stored.text)
      clip.alternatives = [{text: members.text}, ...(stored.alternatives ?? [])];
    this.#tell.conflict(clip, members);
  }

  #report() {
    if (this.#problem) this.#tell.state("problem", this.#problem.message);
    else this.#tell.state(this.isSaved ? "saved" : "saving", "");
  }
}
