#!/usr/bin/env python3
"""A small complete Holdfast client, made from the .proto files and docs/protocol.md alone.

One chunk at a time, in plain blocking calls: it is written to be read. `client` of this repository does the same with
many chunks at once. README.md beside this file says how to run it.
"""

import argparse
import hashlib
import os
import random
import secrets
import sys
import threading
import time
import zlib

import grpc
from grpc_status import rpc_status

from holdfast.common.v1 import error_pb2, types_pb2
from holdfast.keeper.v1 import chunk_service_pb2 as keeper_pb2
from holdfast.keeper.v1 import chunk_service_pb2_grpc as keeper_grpc
from holdfast.tracker.v1 import chunk_location_service_pb2 as location_pb2
from holdfast.tracker.v1 import chunk_location_service_pb2_grpc as location_grpc
from holdfast.tracker.v1 import namespace_service_pb2 as namespace_pb2
from holdfast.tracker.v1 import namespace_service_pb2_grpc as namespace_grpc
from holdfast.tracker.v1 import upload_service_pb2 as upload_pb2
from holdfast.tracker.v1 import upload_service_pb2_grpc as upload_grpc

# docs/protocol.md, "Bounds" and "Times": what one message carries, and how long to wait for what.
RUN_BYTES = 1024 * 1024
MESSAGE_BYTES = 16 * 1024 * 1024
METADATA_S = 10
TRACKER_PATIENCE_S = 60
WRITE_PATIENCE_S = 45
READ_PATIENCE_S = 30
SILENCE_S = 2.5

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.enable_http_proxy", 0),
]


class HoldfastError(Exception):
    """What went wrong: `code` is a name of holdfast.common.v1.ErrorCode without its prefix."""

    def __init__(self, code, message, remedy="", retryable=False, retry_after_ms=0, facts=None):
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.remedy = code, message, remedy
        self.retryable, self.retry_after_ms, self.facts = retryable, retry_after_ms, dict(facts or {})

    @staticmethod
    def of_detail(detail):
        code = error_pb2.ErrorCode.Name(detail.code) if detail.code in error_pb2.ErrorCode.values() else "INTERNAL"
        return HoldfastError(
            code.removeprefix("ERROR_CODE_"), detail.message, detail.remedy, detail.retryable, detail.retry_after_ms,
            detail.facts,
        )

    @staticmethod
    def of_call(error):
        """The ErrorDetail that the server sent, or the bare status where none came (a broken connection, a proxy)."""
        try:
            status = rpc_status.from_call(error)
        except ValueError:  # its code and the call's differ: what counts is the call's
            status = None
        for packed in status.details if status else []:
            detail = error_pb2.ErrorDetail()
            if packed.Unpack(detail):
                return HoldfastError.of_detail(detail)
        code = error.code()
        retryable = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        return HoldfastError(code.name, error.details() or "no reason was given", retryable=retryable)


class Patience:
    """Pauses between attempts, longer each time, until the time for all of them is spent."""

    def __init__(self, seconds):
        self.until, self.pause = time.monotonic() + seconds, 0.1

    def wait(self, error):
        """Sleeps before the next attempt. Raises `error` if there is no time for one."""
        if time.monotonic() + self.pause > self.until:
            raise error
        time.sleep(max(self.pause * random.uniform(0.5, 1), error.retry_after_ms / 1000))
        self.pause = min(self.pause * 2, 2)


def crc_of_blocks(data, block_size):
    return [zlib.crc32(data[at : at + block_size]) for at in range(0, len(data), block_size)]


def digest_of(checksums):
    return hashlib.sha256(b"".join(crc.to_bytes(4, "big") for crc in checksums)).digest()


def transfer_s(length):
    """How long moving so many bytes may take in all: below 1 MiB/s a link is broken."""
    return 25 + length / (1024 * 1024)


class Client:
    def __init__(self, tracker):
        self.channels = {}
        channel = self.channel(tracker)
        self.namespace = namespace_grpc.NamespaceServiceStub(channel)
        self.uploads = upload_grpc.UploadServiceStub(channel)
        self.locations = location_grpc.ChunkLocationServiceStub(channel)

    def channel(self, address):
        if address not in self.channels:
            self.channels[address] = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        return self.channels[address]

    def close(self):
        for channel in self.channels.values():
            channel.close()

    def ask(self, method, request):
        """Asks the tracker until it answers. A mutation carries its request_id, so asking again is harmless."""
        patience = Patience(TRACKER_PATIENCE_S)
        while True:
            try:
                return method(request, timeout=METADATA_S)
            except grpc.RpcError as failure:
                error = HoldfastError.of_call(failure)
            if error.code in ("NOT_ENOUGH_KEEPERS", "OUT_OF_SPACE"):
                raise error  # whoever asked for room decides how long to hope
            if not (error.retryable or error.code in ("CANCELLED", "INTERNAL")):
                raise error
            patience.wait(error)

    # Listing

    def list(self, path):
        token = ""
        while True:
            page = self.ask(self.namespace.ListEntries, namespace_pb2.ListEntriesRequest(path=path, page_token=token))
            yield from page.entries
            token = page.next_page_token
            if not token:
                return

    # Uploading

    def upload(self, local, path, replace=False, replicas=0, chunk_size=0):
        """Stores a file. When it returns, every byte is durable on min_write keepers, and the path shows it."""
        with open(local, "rb") as source:
            status = os.fstat(source.fileno())
            # 0: nothing may be there; absent: anything may.
            expected = {} if replace else {"expected_version": 0}
            # Asked with the session and not later: a small file then costs three calls.
            session = self.ask(self.uploads.BeginUpload, upload_pb2.BeginUploadRequest(
                path=path, request_id=secrets.token_hex(16), chunk_size_bytes=chunk_size,
                policy=types_pb2.Policy(pieces=replicas) if replicas else None,
                allocate_count=1 if status.st_size > 0 else 0, create_parents=True, **expected,
            ))
            try:
                return self._write(session, source, status, path, expected)
            except BaseException:
                try:
                    self.uploads.AbortUpload(upload_pb2.AbortUploadRequest(upload_id=session.upload_id), timeout=2)
                except grpc.RpcError:
                    pass  # a courtesy: the session's lease ends by itself
                raise

    def _write(self, session, source, status, path, expected):
        extents, sealed, spare = [], [], list(session.allocations)
        offset = 0
        while offset < status.st_size:
            length = min(session.chunk_size_bytes, status.st_size - offset)
            chunk = self._write_chunk(session, source, offset, length, sealed, spare)
            extents.append(types_pb2.Extent(chunk_id=chunk.chunk_id, chunk_offset=0, length=length))
            sealed.append(chunk)
            offset += length
        version = upload_pb2.FileVersion(
            path=path, size_bytes=offset, extents=extents, create_parents=True, **expected,
            attributes=namespace_pb2.FileAttributes(
                modified_at_unix_ms=status.st_mtime_ns // 1_000_000, mode=status.st_mode & 0o7777),
        )
        commit = upload_pb2.CommitUploadRequest(
            upload_id=session.upload_id, request_id=secrets.token_hex(16), files=[version], sealed=sealed)
        return self.ask(self.uploads.CommitUpload, commit).files[0]

    def _write_chunk(self, session, source, offset, length, sealed, spare):
        """Gets one chunk onto keepers. Every attempt has a new chunk id, away from the keepers that failed."""
        failed, patience = set(), Patience(WRITE_PATIENCE_S)
        while True:
            try:
                if not spare:
                    # The chunks that were written since are told at once, so no commit is ever too large.
                    answer = self.ask(self.uploads.AllocateChunks, upload_pb2.AllocateChunksRequest(
                        upload_id=session.upload_id, count=1, exclude_keeper_ids=sorted(failed), sealed=sealed))
                    sealed.clear()
                    spare.extend(answer.allocations)
                return self._write_once(session, spare.pop(0), source, offset, length, failed)
            except HoldfastError as error:
                if error.code in ("UPLOAD_CLOSED", "OUT_OF_SPACE", "SOURCE_CHANGED"):
                    raise
                patience.wait(error)

    def _write_once(self, session, allocation, source, offset, length, failed):
        first, followers = allocation.keepers[0], allocation.keepers[1:]
        block_size, checksums, lost = session.block_size_bytes, [], []

        def messages():
            yield keeper_pb2.WriteChunkRequest(header=keeper_pb2.WriteChunkHeader(
                chunk_id=allocation.chunk_id, upload_id=session.upload_id, length=length,
                block_size_bytes=block_size, followers=followers, write_token=allocation.write_token))
            source.seek(offset)
            for at in range(0, length, RUN_BYTES):
                data = source.read(min(RUN_BYTES, length - at))
                if len(data) < min(RUN_BYTES, length - at):
                    lost.append(HoldfastError("SOURCE_CHANGED", "the file became shorter while it was read"))
                    raise lost[0]  # ends the call
                checksums.extend(run := crc_of_blocks(data, block_size))
                yield keeper_pb2.WriteChunkRequest(
                    blocks=types_pb2.BlockRun(offset=at, checksums=run, data=data))

        try:
            stub = keeper_grpc.ChunkServiceStub(self.channel(first.address))
            answer = stub.WriteChunk(messages(), timeout=transfer_s(length))
        except grpc.RpcError as failure:
            error = HoldfastError.of_call(failure)
            if error.code != "TOKEN_EXPIRED":
                failed.add(first.keeper_id)
            raise lost[0] if lost else error
        failed.update(failure.keeper_id for failure in answer.failures)
        digest = digest_of(checksums)
        receipts = {
            receipt.keeper_id: receipt for receipt in answer.receipts
            if receipt.chunk_id == allocation.chunk_id and receipt.length == length and receipt.digest == digest
        }
        if len(receipts) < session.policy.min_write:
            raise HoldfastError("NOT_ENOUGH_KEEPERS", f"{len(receipts)} of {session.policy.min_write} copies were stored")
        return upload_pb2.SealedChunk(
            chunk_id=allocation.chunk_id, length=length, digest=digest, file_offset=offset, receipts=receipts.values())

    # Downloading

    def download(self, path, local):
        """Fetches a file into a part file beside `local`, which gets its name when all of it is there and verified."""
        part = f"{local}.{secrets.token_hex(4)}.part"
        try:
            with open(part, "xb") as target:
                target_of, offset = {"path": path}, 0
                while True:
                    page = self.ask(self.locations.LocateChunks, location_pb2.LocateChunksRequest(
                        **target_of, offset=offset))
                    # From now on by version: whatever is committed meanwhile, this read sees one.
                    target_of = {"version": page.version}
                    for located in page.extents:
                        self._read_extent(page.version, located, target)
                    offset = page.next_offset
                    if offset == 0:
                        break
                if target.seek(0, os.SEEK_END) != page.size_bytes:
                    raise HoldfastError("INTERNAL", f"the extents do not add up to {page.size_bytes} bytes")
                target.flush()
                os.fsync(target.fileno())
            os.replace(part, local)
        except BaseException:
            if os.path.exists(part):
                os.unlink(part)
            raise

    def _read_extent(self, version, located, target):
        """Asks keeper after keeper, each from the last verified byte on; then the tracker, where the chunk is now."""
        reading, patience = Reading(located, target), Patience(READ_PATIENCE_S)
        while True:
            error = HoldfastError("UNAVAILABLE", f"no keeper is known to have chunk {located.extent.chunk_id}")
            for piece in sorted(located.pieces, key=lambda piece: not piece.reachable):
                try:
                    return self._read_piece(located, piece, reading)
                except grpc.RpcError as failure:
                    error = HoldfastError.of_call(failure)
                except HoldfastError as failure:
                    error = failure
                print(f"holdfast: keeper {piece.keeper.address}: {error}", file=sys.stderr)
                if error.code in ("CHECKSUM_MISMATCH", "DATA_LOSS", "NOT_FOUND", "DISK_FAILED"):
                    self._report(located, piece, error)
            patience.wait(error)
            again = self.ask(self.locations.LocateChunks, location_pb2.LocateChunksRequest(
                version=version, offset=located.file_offset, length=located.extent.length))
            located = again.extents[0]

    def _read_piece(self, located, piece, reading):
        extent, end = located.extent, located.extent.chunk_offset + located.extent.length
        stub = keeper_grpc.ChunkServiceStub(self.channel(piece.keeper.address))
        call = stub.ReadChunk(keeper_pb2.ReadChunkRequest(
            chunk_id=extent.chunk_id, piece_index=piece.piece_index, offset=reading.position,
            length=end - reading.position, read_token=located.read_token,
        ), timeout=transfer_s(end - reading.position))
        try:
            # gRPC has a deadline for the whole call and none for silence; a frozen keeper would cost all of it.
            while (message := next_within(call, SILENCE_S)) is not None:
                if message.WhichOneof("message") == "header":
                    if message.header.digest != located.chunk_digest or message.header.length != located.chunk_length:
                        raise HoldfastError("CHECKSUM_MISMATCH", "the keeper has another piece under this chunk's id")
                else:
                    reading.accept(message.blocks)
            reading.finish()
        finally:
            call.cancel()

    def _report(self, located, piece, error):
        try:
            self.locations.ReportBadPiece(location_pb2.ReportBadPieceRequest(
                chunk_id=located.extent.chunk_id, piece_index=piece.piece_index, keeper_id=piece.keeper.keeper_id,
                error=error_pb2.ErrorDetail(code="ERROR_CODE_" + error.code, message=error.message[:300]),
                read_token=located.read_token,
            ), timeout=5)
        except grpc.RpcError:
            pass  # a courtesy to the cluster, which must not fail the read


class Reading:
    """How far an extent is read and verified, over however many keepers it takes."""

    def __init__(self, located, target):
        self.extent, self.file_offset, self.target = located.extent, located.file_offset, target
        self.block_size, self.chunk_length = located.block_size_bytes, located.chunk_length
        self.digest = located.chunk_digest
        self.whole = self.extent.chunk_offset == 0 and self.extent.length == self.chunk_length
        self.restart()

    def restart(self):
        self.position, self.checksums = self.extent.chunk_offset, []

    def accept(self, run):
        """Verifies every block of a run, and writes what belongs to the extent."""
        data, end = run.data, self.extent.chunk_offset + self.extent.length
        expected = self.position - self.position % self.block_size
        if run.offset != expected or not data or (run.offset + len(data) > self.chunk_length):
            raise HoldfastError("INTERNAL", f"blocks at {run.offset} came where {expected} was to come")
        if len(data) % self.block_size and run.offset + len(data) != self.chunk_length:
            raise HoldfastError("INTERNAL", "a block came that is not whole")
        if crc_of_blocks(data, self.block_size) != list(run.checksums):
            raise HoldfastError("CHECKSUM_MISMATCH", f"blocks from {run.offset} on do not match their checksums")
        part = data[self.position - run.offset : end - run.offset]
        self.target.seek(self.file_offset + self.position - self.extent.chunk_offset)
        self.target.write(part)
        self.position += len(part)
        self.checksums.extend(run.checksums)

    def finish(self):
        if self.position < self.extent.chunk_offset + self.extent.length:
            raise HoldfastError("UNAVAILABLE", f"the answer ended at {self.position}")
        # Checksums came with the blocks; the digest came from the tracker, and it is the uploader's.
        if self.whole and digest_of(self.checksums) != self.digest:
            self.restart()
            raise HoldfastError("CHECKSUM_MISMATCH", "the blocks are not those that were uploaded")


def next_within(call, seconds):
    """The next message of a stream, or None at its end. Cancels the call if none comes in time."""
    timer = threading.Timer(seconds, call.cancel)
    timer.start()
    try:
        return next(call, None)
    except grpc.RpcError as failure:
        if failure.code() == grpc.StatusCode.CANCELLED:
            raise HoldfastError("DEADLINE_EXCEEDED", f"nothing came for {seconds} s") from failure
        raise
    finally:
        timer.cancel()


def main():
    parser = argparse.ArgumentParser(description="A small Holdfast client.")
    parser.add_argument("--tracker", default="127.0.0.1:7400", metavar="HOST:PORT")
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser("list", help="lists a directory")
    listing.add_argument("path")
    upload = commands.add_parser("upload", help="stores a local file")
    upload.add_argument("local")
    upload.add_argument("path")
    upload.add_argument("--replace", action="store_true", help="a file may be there already")
    upload.add_argument("--replicas", type=int, default=0, help="copies; by default the cluster's")
    upload.add_argument("--chunk-size", type=int, default=0, metavar="BYTES")
    download = commands.add_parser("download", help="fetches a file")
    download.add_argument("path")
    download.add_argument("local")
    options = parser.parse_args()
    client = Client(options.tracker)
    try:
        if options.command == "list":
            for entry in client.list(options.path):
                is_file = entry.type == namespace_pb2.ENTRY_TYPE_FILE
                print(f"{entry.size_bytes if is_file else '-':>12}  {entry.path}{'' if is_file else '/'}")
        elif options.command == "upload":
            stored = client.upload(
                options.local, options.path, options.replace, options.replicas, options.chunk_size)
            print(f"{stored.path}: version {stored.version}, "
                  f"{stored.durability.fewest_pieces} of {stored.durability.policy_pieces} copies")
        else:
            client.download(options.path, options.local)
    except HoldfastError as error:
        print(f"holdfast: {error}" + (f"\n{error.remedy}" if error.remedy else ""), file=sys.stderr)
        return 1
    finally:
        client.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
