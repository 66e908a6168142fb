package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chorus-net/chorus/bootstrap/pass"
)

func configCommand(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look at the settings",
	}
	cmd.AddCommand(configShowCommand(c))
	return cmd
}

// settingDoc is one setting as `config show` prints it.
type settingDoc struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin,omitempty"`
	Env    string `json:"env,omitempty"`
}

func configShowCommand(c *console) *cobra.Command {
	var origin bool
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show what is set, and by what",
		Long: `Show the value of each flag of each command. A flag beats its PEER_ variable,
which beats config.toml in the home, which beats the default. The key run.listen
is --listen of peer run, PEER_RUN_LISTEN, and listen of table run in the file.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var docs []settingDoc
			for _, set := range c.settings.list {
				doc := settingDoc{Key: set.key, Value: valueOf(set.flag)}
				if origin {
					doc.Origin, doc.Env = set.origin, set.env()
				}
				docs = append(docs, doc)
			}
			return c.print(docs, func(out io.Writer) {
				t := newTable("KEY", "VALUE")
				if origin {
					t = newTable("KEY", "VALUE", "ORIGIN")
				}
				for _, doc := range docs {
					t.row(doc.Key, doc.Value, doc.Origin)
				}
				t.write(c, out)
			})
		},
	}
	cmd.Flags().BoolVar(&origin, "origin", false, "show what set each value")
	return cmd
}

func valueOf(f *pflag.Flag) string {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values := list.GetSlice()
		for i, v := range values {
			if pass.IsToken(v) {
				values[i] = "(a token)" // a secret
			}
		}
		return strings.Join(values, ",")
	}
	return f.Value.String()
}
