package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/chorus-net/chorus/overlay/client"
)

// cursorEvery is the least time between two writes of a cursor file.
const cursorEvery = time.Second

func watchCommand(c *console) *cobra.Command {
	var spec client.WatchSpec
	var file string
	var count int
	cmd := &cobra.Command{
		Use:   "watch PREFIX",
		Short: "Show changes of keys as they happen, a line each",
		Long: `Show changes of the keys that begin with PREFIX as they happen: a line each,
put KEY or delete KEY. A change shows at least once, of several changes of a key
at least the last. The line resync says that changes could not be followed one by
one, and that keys which may have changed follow.

It goes on until it is interrupted. With --timeout it ends then, well unless --count wanted
more lines.

With --cursor-file the watch goes on where the last one with that file ended. After
more than 10 minutes that may fail with watch-lapsed: deletes may be forgotten then,
so drop the file and begin with --existing.`,
		Example: "  peer watch photos/ --cursor-file ~/.photos-cursor",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.Prefix = args[0]
			if count < 0 {
				return usage("peer watch", "--count must not be negative, got %d", count)
			}
			if file != "" {
				b, err := os.ReadFile(file)
				switch {
				case errors.Is(err, fs.ErrNotExist):
				case err != nil:
					return noFile(file, err)
				default:
					spec.Cursor = strings.TrimSpace(string(b))
				}
			}
			return c.withPatientClient(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				w, err := cl.Watch(ctx, spec)
				if err != nil {
					return err
				}
				shown, err := c.showEvents(ctx, w, file, count)
				if errors.Is(err, context.DeadlineExceeded) {
					err = c.watched(spec.Prefix, shown, count)
				}
				end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cursorEvery)
				defer cancel()
				return errors.Join(err, w.Close(end))
			})
		},
	}
	cmd.Flags().StringVar(&file, "cursor-file", "", "go on where the watch ended that kept its place in `F`")
	cmd.Flags().StringVar(&spec.Cursor, "cursor", "", "go on at this `cursor`")
	cmd.Flags().BoolVar(&spec.Existing, "existing", false, "show the keys that are there first")
	cmd.Flags().IntVar(&count, "count", 0, "end after so many lines; 0 is never")
	return cmd
}

// showEvents shows the events of a watch, up to count if that is not 0, and keeps its
// cursor in a file if one is named: that of what was shown, or of what was
// before. It returns how many it showed.
func (c *console) showEvents(ctx context.Context, w *client.Watch, file string, count int) (n int, err error) {
	out := bufio.NewWriter(c.out)
	saved, cursor := time.Time{}, ""
	save := func() error {
		if file == "" || cursor == w.Cursor() {
			return nil
		}
		saved, cursor = time.Now(), w.Cursor()
		return replaceFile(file, cursor+"\n")
	}
	defer func() { err = errors.Join(err, out.Flush(), save()) }()
	for ; count == 0 || n < count; n++ {
		e, err := w.Next(ctx)
		if err != nil {
			return n, err
		}
		if err := c.printEvent(out, e); err != nil {
			return n, err
		}
		if w.Buffered() > 0 {
			continue
		}
		if err := out.Flush(); err != nil {
			return n, err
		}
		if time.Since(saved) >= cursorEvery {
			if err := save(); err != nil {
				return n, err
			}
		}
	}
	return n, nil
}

// watched says how a watch ends whose time is up: well, unless it was to show so many events.
func (c *console) watched(prefix string, shown, count int) error {
	if count > 0 {
		return &client.Error{
			Code:    client.CodeTimeout,
			Message: fmt.Sprintf("watch %s: %d of %d changes within %v", prefix, shown, count, c.timeout),
			Fix:     fmt.Sprintf("the same command with --timeout %v", 2*c.timeout),
		}
	}
	if shown == 0 {
		c.note("no key that begins with %q changed within %v", prefix, c.timeout)
	}
	return nil
}

func (c *console) printEvent(out *bufio.Writer, e client.Event) error {
	if c.json {
		return json.NewEncoder(out).Encode(e)
	}
	_, err := fmt.Fprintln(out, strings.TrimSpace(e.Kind+" "+e.Key))
	return err
}

// replaceFile gives a file another content, at once.
func replaceFile(path, text string) error {
	err := os.WriteFile(path+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return noWrite(path, err)
	}
	return nil
}
