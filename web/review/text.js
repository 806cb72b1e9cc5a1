// text.js -- the words of a clip as a person corrects them: pure functions, no page.
//
// A token is {text, heard, confidence, begin_s, end_s}; heard is what the model wrote there ("" for a word that a person
// added), confidence 1 for what a person wrote.

/** A word as it is compared: lower case, without punctuation around it. */
export const bare = word => word.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");

const split = text => text.split(/\s+/).filter(Boolean);

/** Pairs [said or null, heard or null] with the fewest edits. */
export function align(said, heard) {
  const rows = said.length + 1,
    columns = heard.length + 1;
  const cost = Array.from({length: rows}, (_, i) => Array.from({length: columns}, (_, j) => i + j));
  const same = (i, j) => bare(said[i - 1]) === bare(heard[j - 1]);
  for (let i = 1; i < rows; i++)
    for (let j = 1; j < columns; j++)
      cost[i][j] = Math.min(cost[i - 1][j - 1] + (same(i, j) ? 0 : 1), cost[i - 1][j] + 1, cost[i][j - 1] + 1);
  const pairs = [];
  for (let i = rows - 1, j = columns - 1; i || j;) {
    if (i && j && cost[i][j] === cost[i - 1][j - 1] + (same(i, j) ? 0 : 1)) pairs.push([--i, --j]);
    else if (i && cost[i][j] === cost[i - 1][j] + 1) pairs.push([--i, null]);
    else pairs.push([null, --j]);
  }
  return pairs.reverse();
}

/** The clip's text as tokens; each takes confidence and time from the heard word it stands for. */
export function tokensOf(clip) {
  const said = split(clip.text ?? ""),
    heard = clip.words ?? [];
  const duration_s = clip.duration_s ?? 0;
  const tokens = [];
  let end_s = 0;
  for (const [i, j] of align(said, heard.map(item => item.word))) {
    if (j !== null) end_s = heard[j].end_s;
    if (i === null) continue;
    const known = j === null ? null : heard[j];
    const unchanged = known !== null && known.word === said[i];
    tokens.push({
      text: said[i],
      heard: known?.word ?? "",
      confidence: clip.reviewed || !unchanged ? 1 : known.confidence,
      begin_s: known?.begin_s ?? end_s,
      end_s: known?.end_s ?? Math.min(duration_s, end_s + 0.3),
    });
  }
  return tokens;
}

export const textOf = tokens => tokens.map(token => token.text).join(" ");

/**
 * What was typed for `old`, with its punctuation and its capital where none was typed: "three" for "Free," is "Three,".
 */
export function fitted(typed, old) {
  const text = typed.trim().replace(/\s+/g, " ");
  if (!text || !old) return text;
  const tail = old.match(/[.,;:!?…]+$/)?.[0] ?? "";
  const capital = /^\p{Lu}/u.test(old) && !/\p{Lu}/u.test(text);
  const head = capital ? text.charAt(0).toUpperCase() + text.slice(1) : text;
  return /[.,;:!?…]$/.test(head) ? head : head + tail;
}

/** The next token, after `from` in direction `step`, that is doubtful; -1 when there is none. */
export function nextDoubtful(tokens, from, step, below) {
  for (let at = from + step; at >= 0 && at < tokens.length; at += step) if (tokens[at].confidence < below) return at;
  return -1;
}

const suggestions_max = 5;

/** Edits between two words, at most `most` + 1. */
function letterEdits(a, b, most) {
  if (Math.abs(a.length - b.length) > most) return most + 1;
  let row = Array.from({length: b.length + 1}, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next[j] = Math.min(row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1), row[j] + 1, next[j - 1] + 1);
    row = next;
  }
  return row[b.length];
}

/** What people wrote so far: how often each word, and what they wrote where the model heard another. */
export class Memory {
  #words = new Map(); // bare word -> how often
  #instead = new Map(); // bare heard word -> Map of said -> how often

  add(clip) {
    if (!clip.reviewed || !clip.text) return;
    const said = split(clip.text),
      heard = (clip.words ?? []).map(item => item.word);
    for (const word of said) this.#words.set(bare(word), (this.#words.get(bare(word)) ?? 0) + 1);
    for (const [i, j] of align(said, heard)) {
      if (i === null || j === null || bare(said[i]) === bare(heard[j])) continue;
      const known = this.#instead.get(bare(heard[j])) ?? new Map();
      known.set(bare(said[i]), (known.get(bare(said[i])) ?? 0) + 1);
      this.#instead.set(bare(heard[j]), known);
    }
  }

  /** At most five other words for a token, the likeliest first: corrected so before, the model's other texts, alike. */
  suggest(tokens, index, alternatives) {
    const token = tokens[index];
    const found = [];
    const offer = word => {
      if (word && bare(word) !== bare(token.text) && !found.some(other => bare(other) === bare(word)))
        found.push(word);
    };
    const before = [...(this.#instead.get(bare(token.heard || token.text)) ?? [])].sort((a, b) => b[1] - a[1]);
    before.forEach(([word]) => offer(word));
    const said = tokens.map(other => other.text);
    for (const {text} of alternatives) {
      const other = split(text);
      for (const [i, j] of align(said, other)) if (i === index && j !== null) offer(bare(other[j]));
    }
    const most = bare(token.text).length > 4 ? 2 : 1;
    [...this.#words]
      .map(([word, count]) => ({word, count, edits: letterEdits(bare(token.text), word, most)}))
      .filter(({edits}) => edits <= most)
      .sort((a, b) => a.edits - b.edits || b.count - a.count)
      .forEach(({word}) => offer(word));
    return found.slice(0, suggestions_max);
  }
}
