"""Parquet: columns by name; struct columns are objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from judgelab.data.readers.base import Reader, Row
from judgelab.data.readers.problems import Problems, shown
from judgelab.data.readers.table import header_names
from judgelab.errors import DataError

UNPACKED_CAP = 2 * 1024**3  # bytes
BATCH = 1024  # rows


class ParquetReader(Reader):
    """Reads a Parquet file; rows are counted from 1."""

    name: ClassVar[str] = "parquet"
    extensions: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def _read(self, path: Path, problems: Problems) -> Iterator[Row]:
        import pyarrow
        import pyarrow.parquet

        try:
            with pyarrow.parquet.ParquetFile(path) as file:
                meta = file.metadata
                size = sum(meta.row_group(i).total_byte_size for i in range(meta.num_row_groups))
                if size > UNPACKED_CAP:
                    raise DataError(
                        f"{shown(path)}: the file unpacks to {size:,} bytes; "
                        f"allowed: {UNPACKED_CAP:,}. Split it."
                    )
                header_names(file.schema_arrow.names, shown(path))
                number = 0
                for batch in file.iter_batches(batch_size=BATCH):
                    for values in batch.to_pylist():
                        number += 1
                        yield Row(f"row {number}", values)
        except pyarrow.ArrowException as error:
            raise DataError(
                f"{shown(path)}: the file is no readable Parquet ({error}). Write it again, for "
                "example with pandas: DataFrame.to_parquet."
            ) from error
