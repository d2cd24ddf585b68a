# For the test of the line discipline: what this machine's kernel does with the same. A line of JSON in, a line of JSON out.
import json, os, select, sys, termios, tty

for line in sys.stdin:
    case = json.loads(line)
    master, slave = os.openpty()
    attributes = termios.tcgetattr(slave)
    attributes[0], attributes[1], attributes[3] = case["input"], case["output"], case["local"]
    attributes[2] |= termios.CREAD
    for at, character in enumerate(case["characters"]):
        attributes[6][at] = bytes([character])
    attributes[6][5] = 0 if not case["local"] & 2 else attributes[6][5]
    termios.tcsetattr(slave, termios.TCSANOW, attributes)
    os.set_blocking(master, False)
    os.set_blocking(slave, False)
    echo, reads = b"", []
    for piece in case["typed"]:
        os.write(master, bytes.fromhex(piece))
    poll = select.poll()
    poll.register(slave, select.POLLIN)
    while len(reads) < 200 and poll.poll(0 if reads else 2):
        try:
            reads.append(os.read(slave, 8192).hex())
        except BlockingIOError:
            break
    try:
        while True:
            echo += os.read(master, 65536)
    except (BlockingIOError, OSError):
        pass
    os.close(slave)
    os.close(master)
    print(json.dumps({"echo": echo.hex(), "reads": reads}), flush=True)
