#!/usr/bin/env python3
"""common_words.py LISTS OUT.c - Write the hashes of the most common passwords as a C table.

LISTS is frequency_lists.py of Debian's python3-zxcvbn (MIT), whose list "passwords" is taken. A hash is the first
four bytes, little-endian, of the word's BLAKE2b of 16 bytes; src/identity/password_common.c computes the same.
Words of three letters and less are left out: nothing that short is looked for.
"""
import hashlib
import runpy
import sys

WORDS_MIN = 25_000  # fewer: not the list that was meant
LETTERS_MIN = 4


def main(lists, out):
    words = runpy.run_path(lists)["FREQUENCY_LISTS"]["passwords"]
    words = {w.lower() for w in words if len(w) >= LETTERS_MIN}
    if len(words) < WORDS_MIN:
        sys.exit(f"common_words.py: {lists} has only {len(words)} passwords")
    hashes = sorted({int.from_bytes(hashlib.blake2b(w.encode(), digest_size=16).digest()[:4], "little")
                     for w in words})
    with open(out, "w", encoding="ascii") as f:
        f.write("/* Made by common_words.py; not to be changed by hand. */\n"
                '#include "identity/password_private.h"\n\n'
                "const uint32_t identity__common_hashes[] = {\n")
        for at in range(0, len(hashes), 8):
            f.write("    " + " ".join(f"{h}u," for h in hashes[at:at + 8]) + "\n")
        f.write("};\nconst size_t identity__common_len = "
                "sizeof(identity__common_hashes) / sizeof(identity__common_hashes[0]);\n")


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(sys.argv[1], sys.argv[2])
