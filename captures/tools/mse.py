"""Message stream encryption, as far as a reader of captures needs it who has the secrets of its connections.

A witness as count_messages.py is: it shares no code with bittrace. It also writes down the keys of a capture:

usage: mse.py keys CAPTURE SECRETS INFO_HASH    lines of a key log, for the secrets that a capture's connections have
       mse.py embed CAPTURE KEYS TARGET         a pcapng with a key log in a Decryption Secrets Block
"""
import hashlib
import struct
import sys

import streams

KEY, PADDING, VC = 96, 512, 8
PLAINTEXT, RC4 = 1, 2
# The secrets type of the block, MSEK.
SECRETS_TYPE = 0x4D53454B


class Cipher:
    """RC4, without its first 1,024 bytes."""

    def __init__(self, name, secret, info_hash):
        key = digest(name, secret, info_hash)
        self.state, self.i, self.j = list(range(256)), 0, 0
        j = 0
        for i in range(256):
            j = (j + self.state[i] + key[i % len(key)]) % 256
            self.state[i], self.state[j] = self.state[j], self.state[i]
        self.apply(bytes(1024))

    def apply(self, data):
        state, out = self.state, bytearray()
        for byte in data:
            self.i = (self.i + 1) % 256
            self.j = (self.j + state[self.i]) % 256
            state[self.i], state[self.j] = state[self.j], state[self.i]
            out.append(byte ^ state[(state[self.i] + state[self.j]) % 256])
        return bytes(out)


def digest(*parts):
    return hashlib.sha1(b"".join(parts)).digest()


def read_keys(path):
    """(info hash, secret) of each line of a key log."""
    with open(path) as file:
        lines = [line.split() for line in file if line.startswith("MSE ")]
    return [(bytes.fromhex(info_hash), bytes.fromhex(secret)) for _, _, info_hash, secret in lines]


def decipher(initiator, responder, keys):
    """What either end says once the negotiation is over, and how many messages that had; None without the key.

    The initiator's part begins with what it sent ahead.
    """
    for info_hash, secret in keys:
        at = initiator.find(digest(b"req1", secret), KEY, KEY + PADDING + 20)
        if at >= 0:
            break
    else:
        return None
    shown = bytes(a ^ b for a, b in zip(digest(b"req2", info_hash), digest(b"req3", secret)))
    if initiator[at + 20 : at + 40] != shown:
        return None
    found = {"mse.torrent-hash": 1, "mse.crypto-provide": 1, "mse.crypto-select": 1}
    found["mse.padding"] = at > KEY

    asked = Cipher(b"keyA", secret, info_hash)
    head = asked.apply(initiator[at + 40 : at + 54])
    if head[:VC] != bytes(VC):
        return None
    at += 54
    (padding,) = struct.unpack_from(">H", head, 12)
    tail = asked.apply(initiator[at : at + padding + 2])
    at += padding + 2
    (ahead,) = struct.unpack_from(">H", tail, padding)
    first = asked.apply(initiator[at : at + ahead])
    at += ahead

    answered = Cipher(b"keyB", secret, info_hash)
    begins = responder.find(answered.apply(bytes(VC)), KEY, KEY + PADDING + VC)
    if begins < 0:
        return None
    found["mse.padding"] += begins > KEY
    head = answered.apply(responder[begins + VC : begins + 14])
    selected, padding = struct.unpack(">IH", head)
    answered.apply(responder[begins + 14 : begins + 14 + padding])
    said, answer = initiator[at:], responder[begins + 14 + padding :]
    if selected == RC4:
        said, answer = asked.apply(said), answered.apply(answer)
    return first + said, answer, found


def keys(capture, secrets, info_hash):
    with open(secrets) as file:
        known = {digest(b"req1", bytes.fromhex(line)): line.strip() for line in file}
    for (initiator, responder), stream in streams.tcp_ways(capture).items():
        for at in range(KEY, min(KEY + PADDING + 20, len(stream))):
            secret = known.get(stream[at : at + 20])
            if secret:
                print("MSE", f"{initiator}-{responder}", info_hash, secret)


def embed(capture, log, target):
    """Puts the block behind the section header, before everything it is for."""
    with open(capture, "rb") as file:
        data = file.read()
    with open(log, "rb") as file:
        text = file.read()
    (section,) = struct.unpack_from("<I", data, 4)
    body = struct.pack("<II", SECRETS_TYPE, len(text)) + text + bytes(-len(text) % 4)
    total = struct.pack("<I", len(body) + 12)
    block = struct.pack("<I", 0x0A) + total + body + total
    with open(target, "wb") as file:
        file.write(data[:section] + block + data[section:])


if __name__ == "__main__":
    {"keys": keys, "embed": embed}[sys.argv[1]](*sys.argv[2:])
