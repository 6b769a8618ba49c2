"""A registry that misbehaves: hostile.py LOG PORT [CERTIFICATE KEY]. The repository's name says how.

LOG gets a line per request: address, path, Range, Authorization.
"""

import gzip
import hashlib
import http.server
import json
import random
import ssl
import sys
import threading
import time

log, port = sys.argv[1], int(sys.argv[2])
scheme = "https" if len(sys.argv) > 3 else "http"
OCI = "application/vnd.oci.image."
LAYER = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(300_000)
CONFIG = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
writing = threading.Lock()


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def descriptor(content, kind, **more):
    return {"mediaType": OCI + kind, "digest": digest(content), "size": len(content), **more}


def manifest(mode):
    layer = descriptor(LAYER, "layer.v1.tar")
    if mode == "small-size":
        layer["size"] = 1000
    if mode == "large-size":
        layer["size"] = 1 << 50
    if mode == "traversal":
        layer["digest"] = "sha256:" + "../" * 20 + "etc/x"
    whole = {"schemaVersion": 2, "config": descriptor(CONFIG, "config.v1+json"), "layers": [layer]}
    if mode == "both":
        whole["manifests"] = []
    if mode == "huge-manifest":
        whole["annotations"] = {"a": "x" * 9_000_000}
    if mode == "many-layers":
        whole["layers"] = [layer] * 5000
    return json.dumps(whole).encode()


PLATFORM = {"os": "linux", "architecture": "amd64"}


def index(of, entries=1):
    entry = descriptor(of, "index.v1+json" if b"manifests" in of else "manifest.v1+json", platform=PLATFORM)
    return json.dumps({"schemaVersion": 2, "manifests": [entry] * entries}).encode()


DEEP = [manifest("good")]
for _ in range(4):
    DEEP.append(index(DEEP[-1]))


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        with writing, open(log, "a") as file:
            told = [self.headers.get("Host"), self.path, self.headers.get("Range"), self.headers.get("Authorization")]
            file.write(" ".join(str(one) for one in told) + "\n")
        try:
            self.answer()
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def send(self, content, status=200, length=None, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def endless(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    def answer(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[0] == "token":
            return self.send(json.dumps({"token": "t0ken"}).encode())
        if parts == ["v2"]:
            return self.challenge() if self.server.challenge else self.send(b"{}")
        if parts[0] == "elsewhere":
            return self.send(LAYER)
        _, mode, what, name = parts
        self.manifests(mode, name) if what == "manifests" else self.blob(mode, name)

    def challenge(self):
        realm = self.server.challenge
        self.send(b"", 401, WWW_Authenticate=realm)

    def manifests(self, mode, name):
        if mode == "loop":
            return self.challenge()
        if mode == "endless-manifest":
            return self.endless()
        if mode == "missing":
            return self.send(b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"\\u001b[31mno\\n such"}]}', 404)
        content = manifest(mode)
        if mode == "deep":
            content = next((one for one in DEEP if digest(one) == name), DEEP[-1])
        if mode == "index-bomb":
            content = index(manifest("good"), 10_000)
        if mode == "other-manifest" and name.startswith("sha256:"):
            content = manifest("both")
        if mode == "gzip":
            return self.send(gzip.compress(content), Content_Encoding="gzip")
        self.send(content, Content_Type=OCI + "manifest.v1+json")

    def blob(self, mode, name):
        if name == digest(CONFIG):
            return self.send(CONFIG)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if mode == "wrong-digest":
            return self.send(OTHER)
        if mode == "endless":
            return self.endless()
        if mode == "truncated":
            self.close_connection = True
            return self.send(LAYER[:1000], length=len(LAYER))
        if mode == "resumed":
            self.close_connection = True
            rest = len(LAYER) - start
            headers = {"Content_Range": f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}"} if start else {}
            return self.send(LAYER[start : start + 70_000], 206 if start else 200, rest, **headers)
        if mode == "no-ranges":
            self.server.count += 1
            self.close_connection = True
            return self.send(LAYER[: 100_000 * self.server.count], length=len(LAYER))
        if mode == "loris":
            self.send(b"", length=len(LAYER))
            for place in range(len(LAYER)):
                self.wfile.write(LAYER[place : place + 1])
                time.sleep(0.1)
            return None
        if mode == "to-http":
            return self.send(b"", 307, Location=f"http://127.0.0.1:{self.server.plain}/elsewhere")
        if mode == "to-other-host":
            return self.send(b"", 307, Location=f"{scheme}://localhost:{port}/elsewhere")
        if mode == "round":
            return self.send(b"", 307, Location=self.path)
        if mode == "foreign-port":
            return self.send(b"", 307, Location=f"{scheme}://127.0.0.1:5004/elsewhere")
        self.send(LAYER)


server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Registry)
server.daemon_threads = True
server.count = 0
# The challenge of /v2/, and the port of the plain server, by their file.
server.challenge, server.plain = None, 5003
with open(log + ".challenge", "a+") as told:
    told.seek(0)
    server.challenge = told.read().strip() or None
if scheme == "https":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
