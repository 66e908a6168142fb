package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/overlay/client"
)

// execute runs the command that args name and returns the exit status.
func execute(ctx context.Context, args []string, c *console) int {
	root := newRoot(c)
	root.SetArgs(args)
	root.SetOut(c.out)
	root.SetErr(c.err)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if !c.configured {
		// The failure came before the settings were read.
		c.json = wantsJSON(args, c.getenv)
	}
	return c.report(ctx, err)
}

// report writes an error the way people and scripts expect it and returns the
// exit status.
func (c *console) report(ctx context.Context, err error) int {
	e := asError(err)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		e = &client.Error{Code: client.CodeInterrupted, Message: "interrupted"}
	}
	if c.json {
		var doc struct {
			Error struct {
				Code    client.ErrorCode `json:"code"`
				Message string           `json:"message"`
				Fix     string           `json:"fix"`
			} `json:"error"`
		}
		doc.Error.Code, doc.Error.Message, doc.Error.Fix = e.Code, oneLine(e.Message), e.Fix
		_ = json.NewEncoder(c.err).Encode(doc) // nowhere left to tell
		return e.Code.Exit()
	}
	fmt.Fprintf(c.err, "%s %s: %s\n", c.style(c.err, red, "error"), e.Code, oneLine(e.Message))
	if e.Fix != "" {
		fmt.Fprintf(c.err, "fix: %s\n", e.Fix)
	}
	return e.Code.Exit()
}

// asError returns err with its code and fix, whichever package they come from.
func asError(err error) *client.Error {
	var b *bootstrap.Error
	if errors.As(err, &b) {
		return &client.Error{Code: client.ErrorCode(b.Code), Message: err.Error(), Fix: b.Fix}
	}
	return client.AsError(err)
}

// oneLine keeps an error on its line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// wantsJSON tells whether args or the environment ask for JSON, for errors that
// are met before flags are parsed.
func wantsJSON(args []string, getenv func(string) string) bool {
	if end := slices.Index(args, "--"); end >= 0 {
		args = args[:end]
	}
	for i, a := range args {
		switch a {
		case "-ojson", "-o=json", "--output=json":
			return true
		case "-o", "--output":
			return i+1 < len(args) && args[i+1] == "json"
		}
	}
	return getenv("PEER_OUTPUT") == "json"
}

// usage returns the error of a command line that is not understood.
func usage(command, format string, args ...any) error {
	return &client.Error{
		Code:    client.CodeUsage,
		Message: fmt.Sprintf(format, args...),
		Fix:     command + " --help",
	}
}

// hasCode reports whether err carries a code already, unlike the plain text of
// the flag parser.
func hasCode(err error) bool {
	var e *client.Error
	return errors.As(err, &e)
}
