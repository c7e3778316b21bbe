"""What became of a Pod, and when: from the logs of containerd and of kubelet (`--v=2`)."""
import datetime
import re

# klog: severity, month and day, time, thread, source. The year is not told.
KLOG = re.compile(r"^[IWE](\d{4} \d\d:\d\d:\d\d\.\d{6}) +\d+ \S+\] (.*)$")
CONTAINERD = re.compile(r'^time="(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)" level=info msg="((?:[^"\\]|\\.)*)"')
CREATED = re.compile(r'CreateContainer within sandbox "(\w+)" for .*?[Nn]ame:\s*"?([^",}]+).* returns container id "(\w+)"')


def of_pod(folder, uid, full_name):
    """(what, when) of one Pod, whose name is NAMESPACE/NAME, in their order."""
    events, names, sandbox = [], {}, None
    for when, message in containerd(folder / "containerd.log"):
        if uid in message and (up := re.search(r'^RunPodSandbox for .* returns sandbox id "(\w+)"', message)):
            sandbox = up[1]
            events.append(("the sandbox is up", when))
        elif sandbox and (created := CREATED.search(message)) and created[1] == sandbox:
            names[created[3]] = created[2]
        elif (started := re.search(r'^StartContainer for "(\w+)" returns successfully', message)) and started[1] in names:
            events.append((f"{names[started[1]]} runs", when))
    for when, message in kubelet(folder / "kubelet.log"):
        if f'"{full_name}"' not in message:
            continue
        if message.startswith('"SyncLoop ADD"'):
            events.append(("kubelet has the Pod", when))
        elif (ended := re.search(r'"Type":"ContainerDied","Data":"(\w+)"', message)) and ended[1] in names:
            events.append((f"kubelet notices that {names[ended[1]]} has ended", when))
        elif message.startswith('"SyncLoop (probe)" probe="startup" status="started"'):
            events.append(("the startup probe has succeeded", when))
    return sorted(events, key=lambda event: event[1])


def containerd(log):
    for line in lines(log):
        if head := CONTAINERD.match(line):
            moment = datetime.datetime.fromisoformat(head[1] + head[3].replace("Z", "+00:00"))
            yield moment.timestamp() + float(head[2] or 0), head[4].replace('\\"', '"')


def kubelet(log):
    for line in lines(log):
        if head := KLOG.match(line):
            moment = datetime.datetime.strptime(f"{datetime.date.today().year}{head[1]}", "%Y%m%d %H:%M:%S.%f")
            yield moment.timestamp(), head[2]


def lines(log):
    with open(log, errors="replace") as file:
        yield from file
