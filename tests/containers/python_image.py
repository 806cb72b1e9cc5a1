"""An image of this machine's Python with some programs in it, pushed to a hub's image store.

Nothing is fetched: the interpreter, its library and what they are linked with are copied from the machine.
"""
import base64
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import sysconfig
import tarfile
import urllib.parse

PYTHON = pathlib.Path("/usr/bin/python3.11")
LIBRARY = pathlib.Path("/usr/lib/python3.11")
SKIPPED = {"test", "idlelib", "lib2to3", "tkinter", "distutils", "__pycache__", "pydoc_data", "ensurepip"}
EXTENSIONS = ("_ssl", "_hashlib", "_ctypes", "_uuid", "_bz2", "_lzma")  # Those whose libraries come along.
PACKAGES = "packages"  # The folder of the image that holds what is not Python's own.
MEDIA = "application/vnd.oci.image."


def _library_closure(programs):
    paths = set()
    for program in programs:
        listed = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
        for line in listed.splitlines():
            paths.update(word for word in line.split() if word.startswith("/"))
    return paths


def _plain(entry):
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    return entry


def root_layer(programs, packages=()):
    """A tar with Python, `programs` (paths of Python files) in its root, and `packages`.

    packages: pairs of a file and its path below the folder that the image's Python also imports from.
    """
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as archive:
        for folder in ("tmp", "etc", "proc", "sys", "dev", "run", "var", "var/run", "var/run/iotedge"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        extensions = [str(path) for name in EXTENSIONS for path in LIBRARY.glob(f"lib-dynload/{name}.*.so")]
        extensions += [str(path) for path, name in packages if name.endswith(".so")]
        for path in sorted({str(PYTHON)} | _library_closure([str(PYTHON), *extensions])):
            archive.add(os.path.realpath(path), path.lstrip("/"), filter=_plain)
        for path in sorted(LIBRARY.rglob("*")):
            if path.is_file() and not SKIPPED & set(path.relative_to(LIBRARY).parts):
                archive.add(path, str(path).lstrip("/"), filter=_plain)
        for program in programs:
            archive.add(program, pathlib.Path(program).name, filter=_plain)
        for path, name in sorted(packages, key=lambda pair: pair[1]):
            archive.add(path, f"{PACKAGES}/{name}", filter=_plain)
    return raw.getvalue()


def push(call, token, repository, tag, programs, packages=()):
    """Pushes the image whose entry is the first of `programs`; returns the layer's compressed size.

    call(method, target, headers, raw) -> (status, body, headers) reaches the hub; token is its policy's signature.
    """
    basic = {"Authorization": "Basic " + base64.b64encode(f"iothubowner:{token}".encode()).decode()}

    def put(target, kind, raw):
        status, text, _ = call("PUT", target, {**basic, "Content-Type": kind}, raw)
        if status != 201:
            raise RuntimeError(f"push {repository}:{tag}: PUT {target.split('?')[0]} answered {status} {text[:200]}")

    def push_blob(raw):
        digest = "sha256:" + hashlib.sha256(raw).hexdigest()
        _, _, headers = call("POST", f"/v2/{repository}/blobs/uploads/", basic, b"")
        place = headers["Location"]
        place = place[place.index("/v2/"):]
        put(place + ("&" if "?" in place else "?") + "digest=" + urllib.parse.quote(digest), "application/octet-stream", raw)
        return {"digest": digest, "size": len(raw)}

    layer = root_layer(programs, packages)
    packed = gzip.compress(layer, 1, mtime=0)
    entry = [str(PYTHON), "-u", "/" + pathlib.Path(programs[0]).name]
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[sysconfig.get_platform().split("-")[-1]]
    config = json.dumps({"architecture": architecture, "os": "linux",
                         "config": {"Entrypoint": entry, "Env": ["PATH=/usr/bin", f"PYTHONPATH=/{PACKAGES}"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    manifest = json.dumps({"schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json",
                           "config": {"mediaType": MEDIA + "config.v1+json", **push_blob(config)},
                           "layers": [{"mediaType": MEDIA + "layer.v1.tar+gzip", **push_blob(packed)}]})
    put(f"/v2/{repository}/manifests/{tag}", MEDIA + "manifest.v1+json", manifest.encode())
    return len(packed)
