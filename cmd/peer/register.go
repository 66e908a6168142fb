package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// putRegister sets a register to the value of a put if it is at a version.
func (c *console) putRegister(ctx context.Context, args []string, file string, version uint64) error {
	var value []byte
	var err error
	switch {
	case file != "":
		value, err = readFile(file, store.MaxRegister)
	case args[1] == "-":
		value, err = readAll(c.in, "standard input", store.MaxRegister)
	default:
		value, err = readAll(strings.NewReader(args[1]), "value", store.MaxRegister)
	}
	if err != nil {
		return err
	}
	return c.withClient(ctx, func(ctx context.Context, cl *client.Client) error {
		reg, err := cl.CompareAndSwap(ctx, args[0], version, value)
		if err != nil {
			return err
		}
		doc := struct {
			Key     string `json:"key"`
			Version uint64 `json:"version"`
		}{reg.Key, reg.Version}
		return c.print(doc, func(out io.Writer) {
			if !c.quiet {
				fmt.Fprintf(out, "%s is at version %d\n", reg.Key, reg.Version)
			}
		})
	})
}

// getRegister writes the value of a register, or with -o json all of it.
func (c *console) getRegister(ctx context.Context, key string) error {
	return c.withClient(ctx, func(ctx context.Context, cl *client.Client) error {
		reg, err := cl.ReadRegister(ctx, key)
		if err != nil {
			return err
		}
		if reg.Version == 0 {
			return &client.Error{
				Code:    client.CodeNotFound,
				Message: fmt.Sprintf("register %q was never set", key),
				Fix:     fmt.Sprintf("peer put %s VALUE --if-version 0", key),
			}
		}
		if c.json {
			return c.print(reg, nil)
		}
		_, err = c.out.Write(reg.Value)
		return err
	})
}
