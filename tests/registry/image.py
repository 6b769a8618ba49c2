"""Writes an OCI layout with an index of two machines: image.py DIR TAG BYTES."""

import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile

directory, tag, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
blobs = os.path.join(directory, "blobs/sha256")
os.makedirs(blobs, exist_ok=True)
rand = random.Random(tag)
OCI = "application/vnd.oci.image."


def put(content, kind, **more):
    digest = hashlib.sha256(content).hexdigest()
    with open(os.path.join(blobs, digest), "wb") as file:
        file.write(content)
    return {"mediaType": OCI + kind, "digest": "sha256:" + digest, "size": len(content), **more}


def layer(name, count):
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = count
        tar.addfile(entry, io.BytesIO(rand.randbytes(count)))
    plain = archive.getvalue()
    packed = gzip.compress(plain, 1, mtime=0)
    return put(packed, "layer.v1.tar+gzip"), "sha256:" + hashlib.sha256(plain).hexdigest()


manifests = []
for machine in ["amd64", "arm64"]:
    layers, ids = zip(*[layer(f"{machine}{number}", size // 3) for number in range(3)])
    config = {"os": "linux", "architecture": machine, "config": {"Cmd": ["/bin/sh"]},
              "rootfs": {"type": "layers", "diff_ids": list(ids)}}
    config = put(json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "config": config, "layers": list(layers)}
    platform = {"os": "linux", "architecture": machine}
    manifests.append(put(json.dumps(manifest).encode(), "manifest.v1+json", platform=platform))
index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": manifests}
top = put(json.dumps(index).encode(), "index.v1+json", annotations={"org.opencontainers.image.ref.name": tag})
with open(os.path.join(directory, "oci-layout"), "w") as file:
    json.dump({"imageLayoutVersion": "1.0.0"}, file)
with open(os.path.join(directory, "index.json"), "w") as file:
    json.dump({"schemaVersion": 2, "manifests": [top]}, file)
print(top["digest"], manifests[0]["digest"])
