# Root looks for a value in a process: four ways, one line each. The value comes by standard input.
import ctypes, mmap, os, sys

pid, value = int(sys.argv[1]), sys.stdin.buffer.read()
libc = ctypes.CDLL(None, use_errno=True)


class Span(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


def maps():
    for line in open(f"/proc/{pid}/maps"):
        start, end = (int(part, 16) for part in line.split()[0].split("-"))
        if "r" in line.split()[1] and end < 1 << 47:
            yield start, end - start


def environ():
    return open(f"/proc/{pid}/environ", "rb").read()


def mem():
    found, file = b"", open(f"/proc/{pid}/mem", "rb", 0)
    for start, length in maps():
        try:
            file.seek(start)
            found += file.read(length) or b""
        except OSError:
            pass
    return found


def process_vm_readv():
    found = b""
    for start, length in maps():
        buffer = ctypes.create_string_buffer(length)
        local, remote = Span(ctypes.addressof(buffer), length), Span(start, length)
        got = libc.process_vm_readv(pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0)
        found += buffer.raw[:got] if got > 0 else b""
    return found


def pidfd_getfd():
    found, handle = b"", os.pidfd_open(pid)
    for number in os.listdir(f"/proc/{pid}/fd"):
        fd = libc.syscall(438, handle, int(number), 0)
        if fd < 0:
            continue
        for length in (4096, 8192, 16384, 65536):
            try:
                found += mmap.mmap(fd, length, mmap.MAP_SHARED, mmap.PROT_READ).read()
            except (OSError, ValueError):
                pass
        os.close(fd)
    return found


for way in (environ, mem, process_vm_readv, pidfd_getfd):
    name = {"environ": f"/proc/{pid}/environ", "mem": f"/proc/{pid}/mem"}.get(way.__name__, way.__name__)
    try:
        got = way()
        print(f"{'FOUND' if value in got else 'nothing'}\t{name}\t{len(got)} bytes looked through")
    except OSError as error:
        print(f"nothing\t{name}\t{error.strerror}")
