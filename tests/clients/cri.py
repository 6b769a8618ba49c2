"""A node agent in small: the calls of the Container Runtime Interface that a kubelet makes.

    cri.py SOCKET PROTO IMAGE HANDLER

It runs one pod with one container by the runtime handler, and prints one line for each step. The
messages are compiled from the published definition (api.proto, runtime.v1).
"""

import os
import re
import subprocess
import sys
import tempfile
import time

import grpc


def compiled(proto):
    """The message classes, by protoc; this one is older than an option that says what to log."""
    folder = tempfile.mkdtemp()
    text = re.sub(r"\[\s*debug_redact\s*=\s*true\s*\]", "", open(proto).read())
    with open(f"{folder}/{os.path.basename(proto)}", "w") as copy:
        copy.write(text)
    subprocess.run(["protoc", f"-I{folder}", f"--python_out={folder}", os.path.basename(proto)], check=True, cwd=folder)
    sys.path.insert(0, folder)
    return __import__(os.path.basename(proto).replace(".proto", "_pb2"))


class Service:
    """Calls by name: `service.Version(version="v1")` is runtime.v1.RuntimeService/Version."""

    def __init__(self, channel, api, name):
        self.channel, self.api, self.name = channel, api, name

    def __getattr__(self, call):
        method = self.api.DESCRIPTOR.services_by_name[self.name].methods_by_name[call]
        request, response = (getattr(self.api, kind.name) for kind in (method.input_type, method.output_type))
        stub = self.channel.unary_unary(
            f"/runtime.v1.{self.name}/{call}",
            request_serializer=request.SerializeToString,
            response_deserializer=response.FromString,
        )
        return lambda **fields: stub(request(**fields), timeout=60)


def until(what, holds):
    end = time.monotonic() + 20
    while not holds():
        if time.monotonic() > end:
            sys.exit(f"not in time: {what}")
        time.sleep(0.1)


def main(socket, proto, image, handler):
    api = compiled(proto)
    channel = grpc.insecure_channel(f"unix://{socket}")
    runtime = Service(channel, api, "RuntimeService")
    print("runtime", runtime.Version(version="v1").runtime_name)
    logs = tempfile.mkdtemp()
    node = api.NamespaceMode.Value("NODE")
    security = {"namespace_options": {"network": node}}
    pod_config = {
        "metadata": {"name": "pod", "uid": "uid", "namespace": "default", "attempt": 0},
        "log_directory": logs,
        "linux": {"cgroup_parent": "/kubepods/pod", "security_context": security},
    }
    pod = runtime.RunPodSandbox(config=pod_config, runtime_handler=handler).pod_sandbox_id
    ready = api.PodSandboxState.Value("SANDBOX_READY")
    status = runtime.PodSandboxStatus(pod_sandbox_id=pod).status
    print("sandbox ready", status.state == ready, "by", status.runtime_handler)
    config = {
        "metadata": {"name": "container", "attempt": 0},
        "image": {"image": image},
        "command": ["/bin/sh", "-c", "echo from inside; trap 'exit 3' TERM; while :; do sleep 0.1; done"],
        "envs": [{"key": "GIVEN", "value": b"word"}],
        "working_dir": "/tmp",
        "log_path": "container.log",
        "linux": {
            "resources": {"memory_limit_in_bytes": 64 << 20, "cpu_shares": 512, "oom_score_adj": 900},
            "security_context": {
                **security,
                "run_as_user": {"value": 1000},
                "capabilities": {"drop_capabilities": ["ALL"]},
                "no_new_privs": True,
                "readonly_rootfs": True,
            },
        },
    }
    container = runtime.CreateContainer(pod_sandbox_id=pod, config=config, sandbox_config=pod_config).container_id
    runtime.StartContainer(container_id=container)
    running = api.ContainerState.Value("CONTAINER_RUNNING")
    print("running", runtime.ContainerStatus(container_id=container).status.state == running)

    def execute(*command):
        answer = runtime.ExecSync(container_id=container, cmd=list(command), timeout=20)
        return answer.exit_code, answer.stdout.decode().strip()

    print("exec", execute("sh", "-c", "echo $GIVEN $(id -u) $(pwd); exit 4"))
    print("read-only root", execute("touch", "/x")[0])
    print("capabilities", execute("grep", "CapBnd", "/proc/self/status"))
    print("no new privileges", execute("grep", "NoNewPrivs", "/proc/self/status"))
    print("oom score", execute("cat", "/proc/self/oom_score_adj"))
    until("a line of the log", lambda: "from inside" in open(f"{logs}/container.log").read())
    print("stats", runtime.ContainerStats(container_id=container).stats.memory.working_set_bytes.value > 0)
    runtime.UpdateContainerResources(container_id=container, linux={"memory_limit_in_bytes": 32 << 20})
    limit = f"/sys/fs/cgroup/memory/kubepods/pod/{container}/memory.limit_in_bytes"
    print("memory limit", open(limit).read().strip())
    runtime.StopContainer(container_id=container, timeout=10)
    status = runtime.ContainerStatus(container_id=container).status
    print("exit code", status.exit_code)
    runtime.RemoveContainer(container_id=container)
    runtime.StopPodSandbox(pod_sandbox_id=pod)
    runtime.RemovePodSandbox(pod_sandbox_id=pod)
    print("left", len(runtime.ListPodSandbox().items), len(runtime.ListContainers().containers))


if __name__ == "__main__":
    main(*sys.argv[1:])
