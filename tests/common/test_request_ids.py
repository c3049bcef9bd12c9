"""Request IDs."""

import os

from contextmcp.common.middleware import choose_request_id


def test_identifiers_are_unique_also_in_a_forked_process():
    assert choose_request_id("given-1") == "given-1"
    first = choose_request_id("")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, choose_request_id("").encode())
        os._exit(0)
    os.waitpid(child, 0)
    of_child = os.read(reader, 64).decode()
    os.close(reader)
    os.close(writer)
    chosen = [first, of_child, *(choose_request_id("") for _ in range(300))]
    assert len(set(chosen)) == 302
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in chosen)
