package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

func putCommand(c *console) *cobra.Command {
	var file string
	var ttl time.Duration
	var version uint64
	w := newWriteLevel()
	cmd := &cobra.Command{
		Use:   "put KEY {VALUE | - | --file F}",
		Short: "Store a value",
		Long: `Store a value of at most 4 GiB under a key of at most 1,024 bytes. It is
stored and synced by as many of the key's replicas as --w says when the command
ends; the others follow. The value - is read from standard input.

A value of more than 512 KiB is kept in chunks, and shows once all of them are
stored. If the command is interrupted, run it again: it goes on where it was.

With --w sloppy other peers keep the value for replicas that are out of reach, so
that it can be stored while most of them are: it takes as many as a quorum, of
whichever kind. They hand it over when the replicas are back, and drop it after 10
minutes. Until then, and if they are away for longer, peer get does not show it. The
receipt lists these peers apart, as hints.

With --if-version the key is a register, which lies beside the plain keys and is read
by peer get --register: it takes the value only if it is at that version, which is 0
if it was never set, and goes up by one with each change.`,
		Example: "  peer put greeting 'good morning'\n  peer put photos/7 --file 7.jpeg --ttl 24h --w all\n  peer put leader anna --if-version 0",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (len(args) == 2) == (file != "") {
				return usage("peer put", "peer put takes a key and either a value or --file")
			}
			if ttl < 0 {
				return usage("peer put", "--ttl must not be negative, got %v", ttl)
			}
			if cmd.Flags().Changed("if-version") {
				if ttl != 0 || w.value != "" {
					return usage("peer put", "--if-version goes with neither --ttl nor --w: a register stays, at a majority of its replicas")
				}
				return c.putRegister(cmd.Context(), args, file, version)
			}
			what, value, size := "standard input", c.in, int64(0)
			with := c.withPatientClient
			switch {
			case file != "":
				f, err := os.Open(file)
				if err != nil {
					return noFile(file, err)
				}
				defer f.Close()
				if info, err := f.Stat(); err == nil {
					size = info.Size()
				}
				if size <= store.MaxValue {
					with = c.withClient
				}
				what, value = file, f
			case args[1] != "-":
				what, value, with = "value", strings.NewReader(args[1]), c.withClient
			}
			opts := []client.PutOption{client.WithW(client.Level(w.value)), client.WithTTL(ttl)}
			if cmd.Flags().Changed("ttl") && ttl == 0 {
				opts = append(opts, client.WithoutTTL())
			}
			return with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.putStream(ctx, cl, args[0], &source{Reader: value, what: what}, size, opts)
			})
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "read the value from `F`")
	cmd.Flags().Uint64Var(&version, "if-version", 0, "set the register of the key, if it is at this version")
	cmd.Flags().DurationVar(&ttl, "ttl", 0, "let the key expire after this long, 0 is never; default: as the namespace says, or else never")
	cmd.Flags().Var(w, "w", "replicas that must have stored the value: one, quorum, all, or sloppy; default: as the namespace says, or else quorum")
	return cmd
}

// putStream stores a value of about size bytes, or of an unknown size if that is
// 0, and shows how far it is.
func (c *console) putStream(ctx context.Context, cl *client.Client, key string, value *source, size int64, opts []client.PutOption) error {
	bar := c.newBar("put "+key, size)
	value.Reader = io.TeeReader(value.Reader, bar)
	receipt, err := cl.PutStream(ctx, key, value, opts...)
	bar.end()
	if err != nil {
		return err
	}
	return c.printReceipt("stored", receipt)
}

// source is where a value is read from, under a name for errors.
type source struct {
	io.Reader
	what string
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = noFile(s.what, err)
	}
	return n, err
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
		if len(r.Hints) > 0 {
			fmt.Fprintf(out, "kept for the others by %s: it is not there to be read until they have handed it over\n", peerNames(nil).list(r.Hints))
		}
		if r.Chunks > 0 {
			fmt.Fprintf(out, "%s in %d chunks, %d of them there already\n", byteCount(r.Bytes), r.Chunks, r.Reused)
		}
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
