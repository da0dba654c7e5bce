import os
import sys

print("ready", flush=True)
for _ in sys.stdin:
    value = os.environ["PASSWORD"].encode()
    print(sum((i + 1) * byte for i, byte in enumerate(value)) % 65521, flush=True)
