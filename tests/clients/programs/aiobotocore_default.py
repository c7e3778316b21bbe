"""aiobotocore's default chain."""
import asyncio
import sys

import aiobotocore.session

import answers
import botocore_default


async def read(session, time):
    credentials = await session.get_credentials()
    if credentials is None:
        raise LookupError("no credentials")
    if time == "later":
        credentials._time_fetcher = botocore_default.half_an_hour_on
    frozen = await credentials.get_frozen_credentials()
    return frozen.access_key, credentials._expiry_time


async def main():
    session = aiobotocore.session.get_session()
    while line := await asyncio.to_thread(sys.stdin.readline):
        try:
            print(answers.text(await read(session, line.strip())), flush=True)
        except Exception as error:
            print(answers.reason(error), flush=True)


asyncio.run(main())
