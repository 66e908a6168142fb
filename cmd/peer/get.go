package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

func getCommand(c *console) *cobra.Command {
	var g getArgs
	var register bool
	r := newLevel()
	cmd := &cobra.Command{
		Use:   "get KEY",
		Short: "Read a value: its bytes and nothing else",
		Long: `Read a value: its bytes and nothing else, on standard output or into --file.
A file is written beside its name, as F.part, and takes its name when it is
whole. If the command is interrupted, run it again: it goes on where it was.`,
		Example: "  peer get photos/7 --file 7.jpeg\n  peer get log --offset -1024",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			g.key, g.level = args[0], client.Level(r.value)
			g.part = cmd.Flags().Changed("offset") || cmd.Flags().Changed("length")
			if register {
				if g.part || g.file != "" || g.level != "" {
					return usage("peer get", "--register goes with neither --file, --offset, --length nor --r")
				}
				return c.getRegister(cmd.Context(), g.key)
			}
			if g.length < 0 {
				return usage("peer get", "--length must not be negative, got %d", g.length)
			}
			if g.file != "" && (g.part || c.json) {
				return usage("peer get", "--file takes the whole value: it goes with neither --offset, --length nor -o json")
			}
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.get(ctx, cl, g)
			})
		},
	}
	cmd.Flags().StringVar(&g.file, "file", "", "write the value to `F`")
	cmd.Flags().BoolVar(&register, "register", false, "read the register that peer put --if-version sets")
	cmd.Flags().Int64Var(&g.offset, "offset", 0, "begin at this `byte`; a negative one counts from the end")
	cmd.Flags().Int64Var(&g.length, "length", 0, "end after so many `bytes`; 0 is at the end")
	cmd.Flags().Var(r, "r", "replicas that must have answered: one, quorum or all; default: as the namespace says, or else quorum")
	return cmd
}

// getArgs is what a get was asked for.
type getArgs struct {
	key            string
	level          client.Level
	file           string
	part           bool // offset or length were given
	offset, length int64
}

// maxJSONValue bounds a value that is shown as JSON, which takes it in memory.
const maxJSONValue = 64 << 20

func (c *console) get(ctx context.Context, cl *client.Client, g getArgs) error {
	s, err := cl.GetStream(ctx, g.key, client.WithR(g.level))
	if errors.Is(err, client.ErrNotFound) {
		return &client.Error{
			Code:    client.CodeNotFound,
			Message: fmt.Sprintf("there is no key %q", g.key),
			Fix:     "peer ls",
		}
	}
	if err != nil {
		return err
	}
	defer s.Close()
	if g.file != "" {
		return c.download(s, g.file)
	}
	from, length := g.span(s.Size())
	if _, err := s.Seek(from, io.SeekStart); err != nil {
		return err
	}
	if c.json {
		return c.getJSON(s, length)
	}
	bar := c.newBar("get "+g.key, length)
	if isTerminal(c.out) {
		_, err = io.CopyN(c.out, s, length)
		return err
	}
	_, err = io.CopyN(io.MultiWriter(c.out, bar), s, length)
	bar.end()
	return err
}

// span returns which part of a value of size bytes is asked for.
func (g getArgs) span(size int64) (from, length int64) {
	from = g.offset
	if from < 0 {
		from += size
	}
	from = min(max(from, 0), size)
	length = size - from
	if g.length > 0 {
		length = min(length, g.length)
	}
	return from, length
}

// getJSON shows a record with its value, or the part that was asked for.
func (c *console) getJSON(s *client.Stream, length int64) error {
	if length > maxJSONValue {
		return &client.Error{
			Code:    client.CodeValueTooLarge,
			Message: fmt.Sprintf("%q has %d bytes, as JSON at most %d can be shown", s.Record.Key, length, maxJSONValue),
			Fix:     fmt.Sprintf("peer get %s --file F", s.Record.Key),
		}
	}
	record := s.Record
	record.Value = make([]byte, length)
	if _, err := io.ReadFull(s, record.Value); err != nil {
		return err
	}
	return c.print(record, nil)
}
