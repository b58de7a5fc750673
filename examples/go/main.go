// A small complete Holdfast client, made from the .proto files and docs/protocol.md alone. One chunk at a time, in plain
// blocking calls: it is written to be read. README.md beside this file says how to run it.
package main

//go:generate go run ./generate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	tracker "holdfast.example/client/pb/holdfast/tracker/v1"
)

const usage = `usage: client [-tracker HOST:PORT] COMMAND
  list PATH                                               lists a directory
  upload [-replace] [-replicas N] [-chunk-size BYTES] LOCAL PATH   stores a local file
  download PATH LOCAL                                     fetches a file
`

func main() {
	address := flag.String("tracker", "127.0.0.1:7400", "`HOST:PORT`")
	flag.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	flag.Parse()
	if err := run(*address, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "holdfast: %v\n", err)
		var failure *Error
		if errors.As(err, &failure) && failure.Remedy != "" {
			fmt.Fprintln(os.Stderr, failure.Remedy)
		}
		os.Exit(1)
	}
}

func run(address string, words []string) error {
	if len(words) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	flags := flag.NewFlagSet(words[0], flag.ExitOnError)
	flags.Usage = flag.Usage
	var options UploadOptions
	if words[0] == "upload" {
		flags.BoolVar(&options.Replace, "replace", false, "")
		flags.UintVar(&options.Replicas, "replicas", 0, "")
		flags.Uint64Var(&options.ChunkSizeBytes, "chunk-size", 0, "")
	}
	flags.Parse(words[1:])
	client, err := Connect(address)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx := context.Background()
	switch command := words[0]; {
	case command == "list" && flags.NArg() == 1:
		return client.List(ctx, flags.Arg(0), func(entry *tracker.Entry) {
			if entry.Type == tracker.EntryType_ENTRY_TYPE_FILE {
				fmt.Printf("%12d  %s\n", entry.SizeBytes, entry.Path)
			} else {
				fmt.Printf("%12s  %s/\n", "-", entry.Path)
			}
		})
	case command == "upload" && flags.NArg() == 2:
		stored, err := client.Upload(ctx, flags.Arg(0), flags.Arg(1), options)
		if err == nil {
			copies := stored.Durability
			fmt.Printf("%s: version %d, %d of %d copies\n",
				stored.Path, stored.Version, copies.GetFewestPieces(), copies.GetPolicyPieces())
		}
		return err
	case command == "download" && flags.NArg() == 2:
		return client.Download(ctx, flags.Arg(0), flags.Arg(1))
	}
	flag.Usage()
	os.Exit(2)
	return nil
}
