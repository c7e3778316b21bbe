"""How a client program of the matrix answers: for each line that it reads it prints one, `KEY EXPIRY` or `none REASON`.

The expiry is in Unix seconds, `-` where the client does not tell it. The line that is read says what time it is for the
program: `now`, or `later`, half an hour on, for a client that would keep what it holds so long.
"""
import sys


def text(credentials):
    key, expiry = credentials
    return f"{key} {int(expiry.timestamp()) if expiry else '-'}"


def reason(error):
    return f"none {type(error).__name__}: {' '.join(str(error).split())[:300]}"


def answer(read):
    for line in sys.stdin:
        try:
            print(text(read(line.strip())), flush=True)
        except Exception as error:
            print(reason(error), flush=True)
