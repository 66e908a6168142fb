package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

// console is where a command reads and writes, and what the global flags say
// about it. Its fields below the streams are set before a command runs.
type console struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string

	configured bool          // the fields below are valid
	home       string        // absolute
	json       bool          // -o json
	quiet      bool          // -q
	timeout    time.Duration // of a call to the peer
	patient    bool          // nobody set the time-out, so waiting for a job has none
	settings   *settings
}

func newConsole() *console {
	return &console{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv}
}

// print shows doc as JSON, or calls table to show it to people.
func (c *console) print(doc any, table func(w io.Writer)) error {
	if c.json {
		return json.NewEncoder(c.out).Encode(doc)
	}
	table(c.out)
	return nil
}

// note tells people something on stderr, unless they asked for quiet.
func (c *console) note(format string, args ...any) {
	if !c.quiet {
		fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// progress overwrites one line on stderr if that is a terminal. An empty text
// clears it.
func (c *console) progress(format string, args ...any) {
	if c.quiet || c.json || !isTerminal(c.err) {
		return
	}
	fmt.Fprintf(c.err, "\r\x1b[K"+format, args...)
}

// isTerminal reports whether w is a terminal.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Select Graphic Rendition codes.
const (
	bold  = "1"
	faint = "2"
	red   = "31"
	green = "32"
)

// style wraps s in a terminal style if w shows styles.
func (c *console) style(w io.Writer, code, s string) string {
	if !isTerminal(w) || c.getenv("NO_COLOR") != "" || c.getenv("TERM") == "dumb" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// withClient connects to the running peer of the home and calls f, all within
// the time-out.
func (c *console) withClient(ctx context.Context, f func(ctx context.Context, cl *client.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	cl, err := client.Dial(ctx, c.home)
	if err != nil {
		return c.explainTimeout(err)
	}
	defer cl.Close()
	return c.explainTimeout(f(ctx, cl))
}

// withPatientClient is withClient for calls that last as long as some work
// does: it has a time-out only if somebody set one.
func (c *console) withPatientClient(ctx context.Context, f func(ctx context.Context, cl *client.Client) error) error {
	if c.patient {
		patient := *c
		patient.timeout = forever
		return patient.withClient(ctx, f)
	}
	return c.withClient(ctx, f)
}

const forever = 365 * 24 * time.Hour

// explainTimeout says how long was waited and how to wait longer, unless err
// does.
func (c *console) explainTimeout(err error) error {
	var e *client.Error
	switch {
	case !errors.Is(err, context.DeadlineExceeded), errors.As(err, &e) && e.Fix != "":
		return err
	}
	message := fmt.Sprintf("no answer within %v", c.timeout)
	if e != nil {
		message += ": " + e.Message
	}
	return &client.Error{
		Code:    client.CodeTimeout,
		Message: message,
		Fix:     fmt.Sprintf("the same command with --timeout %v", 2*c.timeout),
	}
}
