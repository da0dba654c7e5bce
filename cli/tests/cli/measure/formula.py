"""Measurements by the book: straight-line, unchecked, for test inputs that are known to be good."""
import hashlib
import struct
import sys

ZERO = bytes(48)


def sha384(*parts):
    return hashlib.sha384(b"".join(parts)).digest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def extend(register, *events):
    for event in events:
        register = sha384(register, event)
    return register


def nitro(kernel, cmdline, *ramdisks):
    kernel, cmdline, *ramdisks = map(read, (kernel, cmdline, *ramdisks))
    yield extend(ZERO, sha384(kernel, cmdline, *ramdisks))
    yield extend(ZERO, sha384(kernel, cmdline, ramdisks[0]))
    yield extend(ZERO, sha384(*ramdisks[1:]))


def text(*texts):
    for each in texts:
        yield sha384(ZERO, each.encode())


def digest_of_file(path):
    yield extend(ZERO, sha384(read(path)))


def mrtd(path):
    image = read(path)
    start = len(image) - struct.unpack_from("<I", image, image.index(bytes.fromhex("35657ae44a989847865e4685a7bf8ec2")) - 6)[0]
    count = struct.unpack_from("<I", image, start + 12)[0]
    single, double = hashlib.sha384(), hashlib.sha384()
    for index in range(count):
        offset, raw, at, size, _, flags = struct.unpack_from("<IIQQII", image, start + 16 + 32 * index)
        if flags & 2:
            continue
        content = image[offset:offset + raw].ljust(size, b"\0")
        adds, extends = [], []
        for page in range(0, size, 4096):
            adds.append(struct.pack("<16sQ104x", b"MEM.PAGE.ADD", at + page))
            chunks = [page + chunk for chunk in range(0, 4096, 256)] if flags & 1 else []
            extends.append(b"".join(struct.pack("<16sQ104x", b"MR.EXTEND", at + c) + content[c:c + 256] for c in chunks))
        single.update(b"".join(a + e for a, e in zip(adds, extends)))
        double.update(b"".join(adds) + b"".join(extends))
    yield single.digest()
    yield double.digest()


def authenticode(image):
    pe = struct.unpack_from("<I", image, 0x3C)[0]
    security = pe + 24 + (112 if struct.unpack_from("<H", image, pe + 24)[0] == 0x20B else 96) + 32
    signatures = struct.unpack_from("<I", image, security + 4)[0]
    body = image[:len(image) - signatures] if signatures else image
    return sha384(body[:pe + 88], body[pe + 92:security], body[security + 8:])


def tdx(kernel, initrd, append, header):
    image, initrd = bytearray(read(kernel)), read(initrd)
    if header == "patched":
        at = (0x80000000 - 0x28000 - 1 - len(initrd)) & ~0xFFF
        image[0x210] = 0xB0
        image[0x211] |= 0x80
        struct.pack_into("<II", image, 0x224, 0xFE00, 0x20000)
        struct.pack_into("<II", image, 0x218, at, len(initrd))
    events = [b"Calling EFI Application from Boot Option", bytes(4),
              b"Exit Boot Services Invocation", b"Exit Boot Services Returned with Success"]
    yield extend(ZERO, authenticode(bytes(image)), *map(sha384, events))
    cmdline = (append + " initrd=initrd\0").encode("utf-16-le")
    yield extend(ZERO, sha384(cmdline), sha384(initrd))


for value in globals()[sys.argv[1]](*sys.argv[2:]):
    print(value.hex())
