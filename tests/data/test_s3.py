"""Objects in S3 read like files, against a local server."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from promise.data.infer import infer_schema, read_columns
from promise.data.source import open_source
from promise.errors import DataError

moto_server = pytest.importorskip("moto.server")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs", reason="reading from S3 needs the `s3` extra")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    path = tmp_path_factory.mktemp("s3") / "x.parquet"
    pq.write_table(pa.table({"age": list(range(50))}), path)
    client = boto3.client("s3")
    client.create_bucket(Bucket="data")
    client.put_object(Bucket="data", Key="in/x.csv", Body=b"a,b\n1,x\n2,y\n")
    client.put_object(Bucket="data", Key="in/y.csv", Body=b"a,b\n3,z\n")
    client.put_object(Bucket="data", Key="p/x.parquet", Body=path.read_bytes())
    yield client
    server.stop()
    patch.undo()


@pytest.mark.slow
def test_keys_globs_and_prefixes(bucket):
    source = open_source("s3://data/in/x.csv")
    assert (source.reader, source.size().rows, source.columns) == (None, 2, ("a", "b"))
    both = open_source("s3://data/in/*.csv")
    columns, rows = read_columns(both, infer_schema(both))
    assert (columns["a"].tolist(), rows.tolist()) == ([1.0, 2.0, 3.0], [0, 1, 2])
    assert open_source("s3://data/p/").size().rows == 50
    assert source.fingerprint() == open_source("s3://data/in/x.csv").fingerprint()


@pytest.mark.slow
def test_what_cannot_be_read_is_said(bucket):
    with pytest.raises(DataError, match=r"no object s3://data/in/xx\.csv; did you mean 'x\.csv'"):
        open_source("s3://data/in/xx.csv")
    with pytest.raises(DataError, match="no object matches"):
        open_source("s3://data/in/*.parquet")
    with pytest.raises(DataError, match="bucket"):
        open_source("s3://nowhere/x.csv")
