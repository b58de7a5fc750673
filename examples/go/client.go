package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	common "holdfast.example/client/pb/holdfast/common/v1"
	keeper "holdfast.example/client/pb/holdfast/keeper/v1"
	tracker "holdfast.example/client/pb/holdfast/tracker/v1"
)

// docs/protocol.md, "Bounds" and "Times": what one message carries, and how long to wait for what.
const (
	runBytes        = 1 << 20
	messageBytes    = 16 << 20
	metadataTime    = 10 * time.Second
	trackerPatience = 60 * time.Second
	writePatience   = 45 * time.Second
	readPatience    = 30 * time.Second
	silence         = 2500 * time.Millisecond
)

// Error is what went wrong. Code is a name of holdfast.common.v1.ErrorCode without its prefix.
type Error struct {
	Code, Message, Remedy string
	Retryable             bool
	RetryAfter            time.Duration
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// asError gives the ErrorDetail that the server sent, or the bare status where none came (a broken connection, a proxy).
func asError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	failure := status.Convert(err)
	for _, each := range failure.Details() {
		if detail, ok := each.(*common.ErrorDetail); ok {
			return &Error{
				Code:    strings.TrimPrefix(detail.Code.String(), "ERROR_CODE_"),
				Message: detail.Message, Remedy: detail.Remedy, Retryable: detail.Retryable,
				RetryAfter: time.Duration(detail.RetryAfterMs) * time.Millisecond,
			}
		}
	}
	names := map[codes.Code]string{
		codes.Unavailable: "UNAVAILABLE", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.Canceled: "CANCELLED",
	}
	name, isKnown := names[failure.Code()]
	if !isKnown {
		name = "INTERNAL"
	}
	return &Error{Code: name, Message: failure.Message(), Retryable: isKnown && name != "CANCELLED"}
}

// patience is the pauses between attempts, longer each time, until the time for all of them is spent.
type patience struct {
	until time.Time
	pause time.Duration
}

func patient(total time.Duration) *patience {
	return &patience{until: time.Now().Add(total), pause: 100 * time.Millisecond}
}

// wait sleeps before the next attempt, and gives the failure back if there is no time for one.
func (p *patience) wait(ctx context.Context, failure *Error) error {
	pause := max(p.pause, failure.RetryAfter)
	if time.Now().Add(pause).After(p.until) {
		return failure
	}
	p.pause = min(2*p.pause, 2*time.Second)
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Client speaks to one tracker and to the keepers that it names. For one goroutine.
type Client struct {
	connections map[string]*grpc.ClientConn
	namespace   tracker.NamespaceServiceClient
	uploads     tracker.UploadServiceClient
	locations   tracker.ChunkLocationServiceClient
}

func Connect(address string) (*Client, error) {
	client := &Client{connections: map[string]*grpc.ClientConn{}}
	connection, err := client.connection(address)
	if err != nil {
		return nil, err
	}
	client.namespace = tracker.NewNamespaceServiceClient(connection)
	client.uploads = tracker.NewUploadServiceClient(connection)
	client.locations = tracker.NewChunkLocationServiceClient(connection)
	return client, nil
}

func (c *Client) connection(address string) (*grpc.ClientConn, error) {
	if known := c.connections[address]; known != nil {
		return known, nil
	}
	connection, err := grpc.NewClient("passthrough:///"+address,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithNoProxy(),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(messageBytes), grpc.MaxCallSendMsgSize(messageBytes)))
	if err == nil {
		c.connections[address] = connection
	}
	return connection, err
}

func (c *Client) keeper(address string) (keeper.ChunkServiceClient, error) {
	connection, err := c.connection(address)
	if err != nil {
		return nil, err
	}
	return keeper.NewChunkServiceClient(connection), nil
}

func (c *Client) Close() {
	for _, connection := range c.connections {
		connection.Close()
	}
}

// ask asks the tracker until it answers. A mutation carries its request_id, so asking again is harmless.
func ask[Q, A any](
	ctx context.Context, call func(context.Context, Q, ...grpc.CallOption) (A, error), question Q,
) (A, error) {
	patience := patient(trackerPatience)
	for {
		once, cancel := context.WithTimeout(ctx, metadataTime)
		answer, err := call(once, question)
		cancel()
		if err == nil {
			return answer, nil
		}
		failure := asError(err)
		switch {
		case failure.Code == "NOT_ENOUGH_KEEPERS" || failure.Code == "OUT_OF_SPACE":
			return answer, failure // whoever asked for room decides how long to hope
		case !failure.Retryable && failure.Code != "CANCELLED" && failure.Code != "INTERNAL":
			return answer, failure
		}
		if err := patience.wait(ctx, failure); err != nil {
			return answer, err
		}
	}
}

// List tells the entries of a directory, in the order of their names.
func (c *Client) List(ctx context.Context, path string, tell func(*tracker.Entry)) error {
	for token := ""; ; {
		page, err := ask(ctx, c.namespace.ListEntries, &tracker.ListEntriesRequest{Path: path, PageToken: token})
		if err != nil {
			return err
		}
		for _, entry := range page.Entries {
			tell(entry)
		}
		if token = page.NextPageToken; token == "" {
			return nil
		}
	}
}

// newID makes a request_id: 128 random bits.
func newID() string {
	var bits [16]byte
	rand.Read(bits[:])
	return hex.EncodeToString(bits[:])
}

// transferTime is how long moving so many bytes may take in all: below 1 MiB/s a link is broken.
func transferTime(length uint64) time.Duration {
	return 25*time.Second + time.Duration(length)*time.Second/(1<<20)
}

func problem(code, format string, values ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, values...)}
}
