"""Objects in S3 read like files, against a local server."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.data.infer import infer_schema, read_columns
from promise.data.source import open_source
from promise.errors import DataError


@pytest.fixture
def bucket(s3_bucket, tmp_path):
    """Return the URL of a bucket with files of two formats."""
    import boto3

    pq.write_table(pa.table({"age": list(range(50))}), tmp_path / "x.parquet")
    client = boto3.client("s3")
    client.put_object(Bucket=s3_bucket, Key="in/x.csv", Body=b"a,b\n1,x\n2,y\n")
    client.put_object(Bucket=s3_bucket, Key="in/y.csv", Body=b"a,b\n3,z\n")
    whole = (tmp_path / "x.parquet").read_bytes()
    client.put_object(Bucket=s3_bucket, Key="p/x.parquet", Body=whole)
    return f"s3://{s3_bucket}"


@pytest.mark.slow
def test_keys_globs_and_prefixes(bucket):
    source = open_source(f"{bucket}/in/x.csv")
    assert (source.reader, source.size().rows, source.columns) == (None, 2, ("a", "b"))
    both = open_source(f"{bucket}/in/*.csv")
    columns, rows = read_columns(both, infer_schema(both))
    assert (columns["a"].tolist(), rows.tolist()) == ([1.0, 2.0, 3.0], [0, 1, 2])
    assert open_source(f"{bucket}/p/").size().rows == 50
    assert source.fingerprint() == open_source(f"{bucket}/in/x.csv").fingerprint()


@pytest.mark.slow
def test_what_cannot_be_read_is_said(bucket):
    with pytest.raises(DataError, match=rf"no object {bucket}/in/xx\.csv; did you mean 'x\.csv'"):
        open_source(f"{bucket}/in/xx.csv")
    with pytest.raises(DataError, match="no object matches"):
        open_source(f"{bucket}/in/*.parquet")
    with pytest.raises(DataError, match="bucket"):
        open_source("s3://nowhere/x.csv")
