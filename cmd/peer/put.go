package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

func putCommand(c *console) *cobra.Command {
	var file string
	var ttl time.Duration
	w := newChoice(levels...)
	cmd := &cobra.Command{
		Use:   "put KEY {VALUE | - | --file F}",
		Short: "Store a value",
		Long: `Store a value of at most 512 KiB under a key of at most 1,024 bytes. It is
stored and synced by as many of the key's replicas as --w says when the command
ends; the others follow. The value - is read from standard input.`,
		Example: "  peer put greeting 'good morning'\n  peer put photos/7 --file 7.jpeg --ttl 24h --w all",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == (file != "") {
				return usage("peer put", "peer put takes a key and either a value or --file")
			}
			if ttl < 0 {
				return usage("peer put", "--ttl must not be negative, got %v", ttl)
			}
			var value []byte
			var err error
			switch {
			case file != "":
				value, err = readFile(file, store.MaxValue)
			case args[1] == "-":
				value, err = readAll(c.in, "standard input", store.MaxValue)
			default:
				value = []byte(args[1])
			}
			if err != nil {
				return err
			}
			opts := []client.PutOption{client.WithW(client.Level(w.value)), client.WithTTL(ttl)}
			return c.withClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				receipt, err := cl.Put(ctx, args[0], value, opts...)
				if err != nil {
					return err
				}
				return c.printReceipt("stored", receipt)
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "read the value from `F`")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "let the key expire after this long; 0 is never")
	cmd.Flags().Var(w, "w", "replicas that must have stored the value: one, quorum or all")
	return cmd
}

// printReceipt shows what a put or delete achieved.
func (c *console) printReceipt(verb string, r client.Receipt) error {
	if r.Hints == nil {
		r.Hints = []string{}
	}
	return c.print(r, func(out io.Writer) {
		if c.quiet {
			return
		}
		synced := 0
		ids := make([]string, len(r.Acks))
		for i, a := range r.Acks {
			ids[i] = a.Peer
			if a.Synced {
				synced++
			}
		}
		fmt.Fprintf(out, "%s %s at %d of %d replicas, %d synced (%s), needed %d\n",
			verb, r.Key, len(r.Acks), r.N, synced, peerNames(nil).list(ids), r.W)
	})
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, noFile(path, err)
	}
	defer f.Close()
	return readAll(f, path, limit)
}

// readAll reads at most limit bytes; what names the source in errors.
func readAll(r io.Reader, what string, limit int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, noFile(what, err)
	}
	if int64(len(b)) > limit {
		return nil, &client.Error{
			Code:    client.CodeValueTooLarge,
			Message: fmt.Sprintf("%s holds more than the %d bytes that are allowed", what, limit),
		}
	}
	return b, nil
}

func noFile(path string, err error) error {
	var pathErr *os.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return &client.Error{Code: client.CodeNoFile, Message: fmt.Sprintf("read %s: %v", path, err)}
}
