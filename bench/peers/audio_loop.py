"""The peer of the audio benchmarks: plain loops over ONNX Runtime, and the package silero-vad, as one would write them in Python
with care.

    audio_loop.py WORK CLIPS_FOLDER MODELS_FOLDER [THREADS]        WORK: vad-onnx, vad-torch, stt-tiny, stt-base

Commands and answers are those of bench/audio_side.cc. Buffers are made once where the interface allows it; spinning is off.
"""
import importlib.metadata
import json
import pathlib
import sys
import time

import numpy as np

RATE = 16_000
BLOCK = 512
BEGIN_TOKEN, END_TOKEN = 1, 2
TOKENS_PER_S_MAX = 6.5
END_PROBABILITY_NOISE = 0.9995
REPETITIONS_MAX = 8


def session(path, threads):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class PackagedVoice:
    """silero-vad as its package runs it."""

    def __init__(self, clips, is_onnx, threads):
        import silero_vad
        import torch

        torch.set_num_threads(threads)
        self.engine = f"silero-vad {importlib.metadata.version('silero-vad')}, " + (
            f"onnxruntime {importlib.metadata.version('onnxruntime')}" if is_onnx else f"torch {torch.__version__}")
        self.model = silero_vad.load_silero_vad(onnx=is_onnx)
        sound = torch.from_numpy(np.concatenate([clip for _, clip in clips]))
        self.blocks = sound[: len(sound) // BLOCK * BLOCK].reshape(-1, BLOCK)
        self.at = 0

    def run(self, _, count):
        voiced = 0
        for _ in range(count):
            voiced += self.model(self.blocks[self.at], RATE).item() >= 0.5
            self.at = (self.at + 1) % len(self.blocks)
        return {"found": int(voiced)}


class Recognizer:
    """Moonshine's greedy loop: keys and values go from one step's outputs to the next one's inputs, nothing is copied by us."""

    def __init__(self, clips, folder, threads):
        import onnxruntime

        self.engine = f"onnxruntime {onnxruntime.__version__}"
        self.clips = clips
        self.encoder, self.decoder = session(folder / "encoder.onnx", threads), session(folder / "decoder.onnx", threads)
        self.sound_name = self.encoder.get_inputs()[0].name
        self.empty = {given.name: np.zeros((1, given.shape[1], 0, given.shape[3]), np.float32)
                      for given in self.decoder.get_inputs() if given.name.startswith("past_key_values")}
        names = list(self.empty)
        self.later = [name for name in names if ".decoder." in name]
        self.wanted_first = ["logits", *(name.replace("past_key_values", "present") for name in names)]
        self.wanted_later = ["logits", *(name.replace("past_key_values", "present") for name in self.later)]
        vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
        self.pieces = {number: piece for piece, number in vocabulary.items()}

    def recognize(self, sound):
        hidden = self.encoder.run(None, {self.sound_name: sound[None]})[0]
        feed = {"encoder_hidden_states": hidden, "use_cache_branch": np.array([False]), **self.empty}
        token, tokens = BEGIN_TOKEN, []
        while len(tokens) < int(len(sound) / RATE * TOKENS_PER_S_MAX) + 8:
            feed["input_ids"] = np.array([[token]], np.int64)
            is_first = not tokens
            outputs = self.decoder.run(self.wanted_first if is_first else self.wanted_later, feed)
            logits = outputs[0][0, -1]
            if is_first:
                power = np.exp(logits.astype(np.float64) - logits.max())
                if power[END_TOKEN] / power.sum() < END_PROBABILITY_NOISE:
                    logits[END_TOKEN] = -np.inf
                feed["use_cache_branch"] = np.array([True])
            feed.update(zip(self.empty if is_first else self.later, outputs[1:], strict=True))
            token = int(logits.argmax())
            if token == END_TOKEN:
                break
            tokens.append(token)
            if tokens[-REPETITIONS_MAX:] == [token] * REPETITIONS_MAX:
                break
        return tokens

    def text(self, tokens):
        joined = b""
        for token in tokens:
            piece = self.pieces.get(token, "")
            if len(piece) == 6 and piece.startswith("<0x"):
                joined += bytes([int(piece[3:5], 16)])
            elif piece not in ("<s>", "</s>", "<unk>"):
                joined += piece.replace("\u2581", " ").encode()
        return joined.decode(errors="replace").strip(" ")

    def run(self, _, count):
        texts = {}
        for at in range(count):
            name, clip = self.clips[at % len(self.clips)]
            texts[name] = self.text(self.recognize(clip))
        return {"found": sum(len(text.split()) for text in texts.values()), "texts": texts}


def read_clips(folder):
    """Files of 32-bit floats at 16 kHz, in the order of their names."""
    return [(path.stem, np.fromfile(path, np.float32)) for path in sorted(folder.glob("*.f32"))]


def make(work, clips, models, threads):
    if work.startswith("vad-"):
        return PackagedVoice(clips, work == "vad-onnx", threads)
    return Recognizer(clips, models / f"moonshine-{work.removeprefix('stt-')}", threads)


def main():
    work, clips, models = sys.argv[1], read_clips(pathlib.Path(sys.argv[2])), pathlib.Path(sys.argv[3])
    peer = make(work, clips, models, int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    print(json.dumps({"ready": peer.engine}), flush=True)
    for line in sys.stdin:
        command, count = line.split()
        begun, processor_begun = time.perf_counter(), time.process_time()
        answer = peer.run(command, int(count))
        seconds, processor_s = time.perf_counter() - begun, time.process_time() - processor_begun
        print(json.dumps({"seconds": seconds, "processor_s": processor_s, **answer}), flush=True)


if __name__ == "__main__":
    main()
