package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	common "holdfast.example/client/pb/holdfast/common/v1"
	keeper "holdfast.example/client/pb/holdfast/keeper/v1"
	tracker "holdfast.example/client/pb/holdfast/tracker/v1"
)

// Download fetches a file into a part file beside `local`, which gets its name when all is there and verified.
func (c *Client) Download(ctx context.Context, path, local string) error {
	part, err := os.CreateTemp(filepath.Dir(local), filepath.Base(local)+".*.part")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name()) // finds nothing once it was renamed
	defer part.Close()
	if err := c.fetch(ctx, path, part); err != nil {
		return err
	}
	if err := part.Sync(); err != nil {
		return err
	}
	return os.Rename(part.Name(), local)
}

func (c *Client) fetch(ctx context.Context, path string, target io.WriterAt) error {
	request := &tracker.LocateChunksRequest{Target: &tracker.LocateChunksRequest_Path{Path: path}}
	reached := uint64(0)
	for {
		page, err := ask(ctx, c.locations.LocateChunks, request)
		if err != nil {
			return err
		}
		for _, located := range page.Extents {
			if located.FileOffset != reached {
				return problem("INTERNAL", "an extent at %d came where %d was to come", located.FileOffset, reached)
			}
			if err := c.readExtent(ctx, page.Version, located, target); err != nil {
				return err
			}
			reached += located.Extent.Length
		}
		if page.NextOffset == 0 {
			if reached != page.SizeBytes {
				return problem("INTERNAL", "the extents end at %d of %d bytes", reached, page.SizeBytes)
			}
			return nil
		}
		// From now on by version: whatever is committed meanwhile, this read sees one.
		request.Target = &tracker.LocateChunksRequest_Version{Version: page.Version}
		request.Offset = page.NextOffset
	}
}

// readExtent asks keeper after keeper, each from the last verified byte on; then the tracker, where the chunk is now.
func (c *Client) readExtent(
	ctx context.Context, version uint64, located *tracker.LocatedExtent, target io.WriterAt,
) error {
	reading := newReading(located, target)
	patience := patient(readPatience)
	for {
		failure := problem("UNAVAILABLE", "no keeper is known to have chunk %s", located.Extent.ChunkId)
		// Those that the tracker has not heard of lately come last.
		slices.SortStableFunc(located.Pieces, func(a, b *tracker.PieceLocation) int {
			if a.Reachable == b.Reachable {
				return 0
			} else if a.Reachable {
				return -1
			}
			return 1
		})
		for _, piece := range located.Pieces {
			err := c.readPiece(ctx, located, piece, reading)
			if err == nil {
				return nil
			}
			var local *fs.PathError
			if errors.As(err, &local) {
				return err // this disk's fault, and no other keeper can help
			}
			failure = asError(err)
			fmt.Fprintf(os.Stderr, "holdfast: keeper %s: %v\n", piece.Keeper.Address, failure)
			switch failure.Code {
			case "CHECKSUM_MISMATCH", "DATA_LOSS", "NOT_FOUND", "DISK_FAILED":
				c.report(ctx, located, piece, failure)
			}
		}
		if err := patience.wait(ctx, failure); err != nil {
			return err
		}
		again, err := ask(ctx, c.locations.LocateChunks, &tracker.LocateChunksRequest{
			Target: &tracker.LocateChunksRequest_Version{Version: version},
			Offset: located.FileOffset, Length: located.Extent.Length,
		})
		if err != nil {
			return err
		}
		located = again.Extents[0]
	}
}

func (c *Client) readPiece(
	ctx context.Context, located *tracker.LocatedExtent, piece *tracker.PieceLocation, reading *reading,
) error {
	length := reading.end - reading.position
	ctx, cancel := context.WithTimeout(ctx, transferTime(length))
	defer cancel()
	// gRPC has a deadline for the whole call and none for silence; a frozen keeper would cost all of it.
	silent := problem("DEADLINE_EXCEEDED", "nothing came for %v", silence)
	ctx, giveUp := context.WithCancelCause(ctx)
	watchdog := time.AfterFunc(silence, func() { giveUp(silent) })
	defer watchdog.Stop()
	stub, err := c.keeper(piece.Keeper.Address)
	if err != nil {
		return err
	}
	stream, err := stub.ReadChunk(ctx, &keeper.ReadChunkRequest{
		ChunkId: located.Extent.ChunkId, PieceIndex: piece.PieceIndex,
		Offset: reading.position, Length: length, ReadToken: located.ReadToken,
	})
	for err == nil {
		var message *keeper.ReadChunkResponse
		if message, err = stream.Recv(); err != nil {
			break
		}
		watchdog.Reset(silence)
		if header := message.GetHeader(); header != nil {
			if !bytes.Equal(header.Digest, located.ChunkDigest) || header.Length != located.ChunkLength {
				return problem("CHECKSUM_MISMATCH", "the keeper has another piece under this chunk's id")
			}
		} else if blocks := message.GetBlocks(); blocks != nil {
			err = reading.accept(blocks)
		}
	}
	if errors.Is(context.Cause(ctx), silent) {
		return silent
	}
	if err != io.EOF {
		return err
	}
	return reading.finish()
}

// report tells the tracker. A courtesy to the cluster, which must not fail the read.
func (c *Client) report(
	ctx context.Context, located *tracker.LocatedExtent, piece *tracker.PieceLocation, failure *Error,
) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c.locations.ReportBadPiece(ctx, &tracker.ReportBadPieceRequest{
		ChunkId: located.Extent.ChunkId, PieceIndex: piece.PieceIndex, KeeperId: piece.Keeper.KeeperId,
		Error: &common.ErrorDetail{
			Code: common.ErrorCode(common.ErrorCode_value["ERROR_CODE_"+failure.Code]), Message: failure.Message,
		},
		ReadToken: located.ReadToken,
	})
}

// reading is how far an extent is read and verified, over however many keepers it takes. Positions are in the chunk.
type reading struct {
	located              *tracker.LocatedExtent
	target               io.WriterAt
	start, position, end uint64
	checksums            []uint32
}

func newReading(located *tracker.LocatedExtent, target io.WriterAt) *reading {
	start := located.Extent.ChunkOffset
	return &reading{located: located, target: target, start: start, position: start, end: start + located.Extent.Length}
}

// accept verifies every block of a run, and writes what belongs to the extent.
func (r *reading) accept(run *common.BlockRun) error {
	blockSize, length := uint64(r.located.BlockSizeBytes), uint64(len(run.Data))
	expected := r.position - r.position%blockSize
	if run.Offset != expected || length == 0 || run.Offset+length > r.located.ChunkLength {
		return problem("INTERNAL", "blocks at %d came where %d was to come", run.Offset, expected)
	}
	if length%blockSize != 0 && run.Offset+length != r.located.ChunkLength {
		return problem("INTERNAL", "a block came that is not whole")
	}
	if !slices.Equal(blockChecksums(run.Data, int(blockSize)), run.Checksums) {
		return problem("CHECKSUM_MISMATCH", "blocks from %d on do not match their checksums", run.Offset)
	}
	part := run.Data[r.position-run.Offset : min(r.end-run.Offset, length)]
	if _, err := r.target.WriteAt(part, int64(r.located.FileOffset+r.position-r.start)); err != nil {
		return err
	}
	r.position += uint64(len(part))
	r.checksums = append(r.checksums, run.Checksums...)
	return nil
}

func (r *reading) finish() error {
	if r.position < r.end {
		return problem("UNAVAILABLE", "the answer ended at %d of %d", r.position, r.end)
	}
	// Checksums came with the blocks; the digest came from the tracker, and it is the uploader's.
	isWhole := r.start == 0 && r.end == r.located.ChunkLength
	if isWhole && !bytes.Equal(digestOf(r.checksums), r.located.ChunkDigest) {
		r.position, r.checksums = r.start, nil
		return problem("CHECKSUM_MISMATCH", "the blocks are not those that were uploaded")
	}
	return nil
}
