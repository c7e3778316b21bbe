"""botocore 1.4.93, of 2016, which speaks IMDSv1 only. It expects names in `collections` that Python 3.10 has moved."""
import collections
import collections.abc

for name in ("Callable", "Iterable", "Mapping", "MutableMapping", "MutableSequence", "Sequence"):
    setattr(collections, name, getattr(collections.abc, name))

import answers
import botocore_default

answers.answer(botocore_default.read)
