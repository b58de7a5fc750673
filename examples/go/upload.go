package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	common "holdfast.example/client/pb/holdfast/common/v1"
	keeper "holdfast.example/client/pb/holdfast/keeper/v1"
	tracker "holdfast.example/client/pb/holdfast/tracker/v1"
)

type UploadOptions struct {
	// Replace says that a file may be there already.
	Replace bool
	// Replicas and ChunkSizeBytes are the cluster's own if they are 0.
	Replicas       uint
	ChunkSizeBytes uint64
}

// upload is one session: what is written so far, and what the tracker has yet to be told.
type upload struct {
	*Client
	session *tracker.BeginUploadResponse
	source  *os.File
	extents []*common.Extent
	sealed  []*tracker.SealedChunk
	spare   []*tracker.ChunkAllocation
}

// Upload stores a file. When it returns, every byte is durable on min_write keepers, and the path shows it.
func (c *Client) Upload(ctx context.Context, local, path string, options UploadOptions) (*tracker.CommittedFile, error) {
	source, err := os.Open(local)
	if err != nil {
		return nil, err
	}
	defer source.Close()
	about, err := source.Stat()
	if err != nil {
		return nil, err
	}
	size := uint64(about.Size())
	begin := &tracker.BeginUploadRequest{
		Path: path, RequestId: newID(), CreateParents: true, ChunkSizeBytes: options.ChunkSizeBytes,
		// With the session and not later: a small file then costs three calls.
		AllocateCount: uint32(min(size, 1)),
	}
	if !options.Replace {
		begin.ExpectedVersion = proto.Uint64(0) // nothing may be there; absent means that anything may
	}
	if options.Replicas > 0 {
		begin.Policy = &common.Policy{Pieces: uint32(options.Replicas)}
	}
	session, err := ask(ctx, c.uploads.BeginUpload, begin)
	if err != nil {
		return nil, err
	}
	upload := &upload{Client: c, session: session, source: source, spare: session.Allocations}
	stored, err := upload.run(ctx, &tracker.FileVersion{
		Path: path, SizeBytes: size, ExpectedVersion: begin.ExpectedVersion, CreateParents: true,
		Attributes: &tracker.FileAttributes{
			ModifiedAtUnixMs: proto.Int64(about.ModTime().UnixMilli()), Mode: proto.Uint32(uint32(about.Mode().Perm())),
		},
	})
	if err != nil {
		// A courtesy: the session's lease ends by itself.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		c.uploads.AbortUpload(last, &tracker.AbortUploadRequest{UploadId: session.UploadId})
	}
	return stored, err
}

func (u *upload) run(ctx context.Context, version *tracker.FileVersion) (*tracker.CommittedFile, error) {
	for offset := uint64(0); offset < version.SizeBytes; {
		length := min(u.session.ChunkSizeBytes, version.SizeBytes-offset)
		chunk, err := u.writeChunk(ctx, offset, length)
		if err != nil {
			return nil, err
		}
		version.Extents = append(version.Extents, &common.Extent{ChunkId: chunk.ChunkId, Length: length})
		u.sealed = append(u.sealed, chunk)
		offset += length
	}
	commit, err := ask(ctx, u.uploads.CommitUpload, &tracker.CommitUploadRequest{
		UploadId: u.session.UploadId, RequestId: newID(), Files: []*tracker.FileVersion{version}, Sealed: u.sealed,
	})
	if err != nil {
		return nil, err
	}
	return commit.Files[0], nil
}

// writeChunk gets one chunk onto keepers. Every attempt has a new chunk id, away from the keepers that failed.
func (u *upload) writeChunk(ctx context.Context, offset, length uint64) (*tracker.SealedChunk, error) {
	var failed []string
	patience := patient(writePatience)
	for {
		allocation, err := u.allocate(ctx, failed)
		if err == nil {
			var chunk *tracker.SealedChunk
			if chunk, err = u.writeOnce(ctx, allocation, offset, length, &failed); err == nil {
				return chunk, nil
			}
		}
		failure := asError(err)
		if failure.Code == "UPLOAD_CLOSED" || failure.Code == "OUT_OF_SPACE" || failure.Code == "SOURCE_CHANGED" {
			return nil, failure
		}
		if err := patience.wait(ctx, failure); err != nil {
			return nil, err
		}
	}
}

func (u *upload) allocate(ctx context.Context, failed []string) (*tracker.ChunkAllocation, error) {
	if len(u.spare) == 0 {
		// The chunks that were written since are told at once, so no commit is ever too large.
		answer, err := ask(ctx, u.uploads.AllocateChunks, &tracker.AllocateChunksRequest{
			UploadId: u.session.UploadId, Count: 1, ExcludeKeeperIds: failed, Sealed: u.sealed,
		})
		if err != nil {
			return nil, err
		}
		u.sealed, u.spare = nil, answer.Allocations
	}
	allocation := u.spare[0]
	u.spare = u.spare[1:]
	return allocation, nil
}

func (u *upload) writeOnce(
	ctx context.Context, allocation *tracker.ChunkAllocation, offset, length uint64, failed *[]string,
) (*tracker.SealedChunk, error) {
	first := allocation.Keepers[0]
	checksums, answer, err := u.send(ctx, allocation, offset, length)
	if err != nil {
		failure := asError(err)
		if failure.Code != "TOKEN_EXPIRED" && failure.Code != "SOURCE_CHANGED" {
			*failed = append(*failed, first.KeeperId)
		}
		return nil, failure
	}
	for _, each := range answer.Failures {
		*failed = append(*failed, each.KeeperId)
	}
	digest, receipts := digestOf(checksums), map[string]*common.Receipt{}
	for _, each := range answer.Receipts {
		if each.ChunkId == allocation.ChunkId && each.Length == length && bytes.Equal(each.Digest, digest) {
			receipts[each.KeeperId] = each
		}
	}
	if wanted := int(u.session.Policy.MinWrite); len(receipts) < wanted {
		return nil, problem("NOT_ENOUGH_KEEPERS", "%d of %d copies were stored", len(receipts), wanted)
	}
	chunk := &tracker.SealedChunk{ChunkId: allocation.ChunkId, Length: length, Digest: digest, FileOffset: offset}
	for _, each := range receipts {
		chunk.Receipts = append(chunk.Receipts, each)
	}
	return chunk, nil
}

// send streams a chunk to the first keeper of its chain, which passes it on to the others.
func (u *upload) send(
	ctx context.Context, allocation *tracker.ChunkAllocation, offset, length uint64,
) ([]uint32, *keeper.WriteChunkResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, transferTime(length))
	defer cancel()
	stub, err := u.keeper(allocation.Keepers[0].Address)
	if err != nil {
		return nil, nil, err
	}
	stream, err := stub.WriteChunk(ctx)
	if err != nil {
		return nil, nil, err
	}
	blockSize := u.session.BlockSizeBytes
	err = stream.Send(&keeper.WriteChunkRequest{Message: &keeper.WriteChunkRequest_Header{Header: &keeper.WriteChunkHeader{
		ChunkId: allocation.ChunkId, UploadId: u.session.UploadId, Length: length, BlockSizeBytes: blockSize,
		Followers: allocation.Keepers[1:], WriteToken: allocation.WriteToken,
	}}})
	var checksums []uint32
	for at := uint64(0); at < length && err == nil; at += runBytes {
		data := make([]byte, min(runBytes, length-at))
		if _, err := u.source.ReadAt(data, int64(offset+at)); err != nil {
			return nil, nil, problem("SOURCE_CHANGED", "the file could not be read to its end: %v", err)
		}
		run := blockChecksums(data, int(blockSize))
		checksums = append(checksums, run...)
		err = stream.Send(&keeper.WriteChunkRequest{Message: &keeper.WriteChunkRequest_Blocks{
			Blocks: &common.BlockRun{Offset: at, Checksums: run, Data: data},
		}})
	}
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	// After io.EOF the keeper has ended the call, and says here why.
	answer, err := stream.CloseAndRecv()
	return checksums, answer, err
}
