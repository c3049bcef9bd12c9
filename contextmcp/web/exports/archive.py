"""Write a ZIP file of tables into rows of the database, and read it back."""

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from accounts.models import DataExport, DataExportChunk
from contextmcp.common.api import json_default
from contextmcp.common.csv_text import line

CHUNK_BYTES = 1024 * 1024
# Text is compressed in parts of this size.
_BUFFER_BYTES = 64 * 1024

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Table:
    """One table of an export. `rows` is called once for each format, and each row has the values of `columns`."""

    name: str
    description: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterable[Row]]


class ChunkWriter(io.RawIOBase):
    """A file that can only be written from its beginning to its end, and is stored in chunks of `CHUNK_BYTES`."""

    def __init__(self, export: DataExport) -> None:
        self._export, self._buffer, self._number = export, bytearray(), 0
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        self.size += len(data)
        while len(self._buffer) >= CHUNK_BYTES:
            self._store(CHUNK_BYTES)
        return len(data)

    def finish(self) -> None:
        """Store the rest."""
        if self._buffer:
            self._store(len(self._buffer))

    def _store(self, length: int) -> None:
        DataExportChunk.objects.create(export=self._export, number=self._number, data=bytes(self._buffer[:length]))
        del self._buffer[:length]
        self._number += 1


def write_archive(export: DataExport, readme: str, tables: Iterable[Table]) -> int:
    """Store the ZIP file of the tables, each as CSV and as JSON. Return its size in bytes."""
    output = ChunkWriter(export)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", readme)
        for table in tables:
            _write(archive, f"csv/{table.name}.csv", _csv(table))
            _write(archive, f"json/{table.name}.json", _json(table))
    output.finish()
    return output.size


def read_archive(export: DataExport) -> Iterator[bytes]:
    """Yield the parts of the file. Each is read when the previous one was sent."""
    for number in range(-(-export.size // CHUNK_BYTES)):
        yield bytes(DataExportChunk.objects.values_list("data", flat=True).get(export=export, number=number))


def _write(archive: zipfile.ZipFile, name: str, parts: Iterator[str]) -> None:
    # A file larger than 2 GiB needs the ZIP64 format, which has to be chosen before its size is known.
    with archive.open(name, "w", force_zip64=True) as raw, io.BufferedWriter(raw, _BUFFER_BYTES) as file:
        for part in parts:
            file.write(part.encode())


def _csv(table: Table) -> Iterator[str]:
    yield line(table.columns)
    for row in table.rows():
        yield line(row)


def _json(table: Table) -> Iterator[str]:
    separator = "[\n"
    for row in table.rows():
        yield separator + json.dumps(dict(zip(table.columns, row, strict=True)), default=json_default, ensure_ascii=False)
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"
