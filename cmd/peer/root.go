package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chorus-net/chorus/overlay/client"
)

// newRoot returns the command tree.
func newRoot(c *console) *cobra.Command {
	root := &cobra.Command{
		Use:   "peer",
		Short: "A peer of a Chorus ring: keeps replicated keys and shares work, with no master",
		Long: `A peer of a Chorus ring: keeps replicated keys and shares work, with no master.

Try it:       peer demo
Start a ring: peer init && peer run
Join it:      peer invite prints a token for peer run --home DIR --join TOKEN`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	flags := root.PersistentFlags()
	flags.String("home", defaultHome(), "`folder` of the peer's identity, keys and socket; one peer a home")
	flags.VarP(newChoice("table", "json"), "output", "o", "how to show results: table or json")
	flags.Duration("timeout", 30*time.Second, "give up after this long; waiting for a job has no end unless it is set")
	flags.BoolP("quiet", "q", false, "show results and errors only")
	flags.SortFlags = false
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if cmd.Name() == cobra.ShellCompRequestCmd || cmd.Name() == cobra.ShellCompNoDescRequestCmd {
			return nil // the shell asks, not a person
		}
		return c.configure(cmd, true)
	}

	root.AddGroup(
		&cobra.Group{ID: "start", Title: "Start and stop:"},
		&cobra.Group{ID: "keys", Title: "Keys:"},
		&cobra.Group{ID: "work", Title: "Work:"},
		&cobra.Group{ID: "look", Title: "Look and measure:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, cmd := range cmds {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add("start", demoCommand(c), initCommand(c), runCommand(c), inviteCommand(c), revokeCommand(c), rotateCommand(c), grantCommand(c), leaveCommand(c), forgetCommand(c))
	add("keys", putCommand(c), getCommand(c), delCommand(c), lsCommand(c), watchCommand(c), nsCommand(c))
	add("work", submitCommand(c), jobCommand(c))
	add("look", statusCommand(c), doctorCommand(c), topCommand(c), ringCommand(c), pingCommand(c), traceCommand(c), benchCommand(c), netsimCommand(c), configCommand(c))
	root.AddCommand(withoutFile(c, versionCommand(c)), withoutFile(c, completionCommand(c)))
	root.SetHelpCommand(helpCommand())
	strict(root)
	return root
}

// withoutFile makes a command work whatever is in the config file.
func withoutFile(c *console, cmd *cobra.Command) *cobra.Command {
	cmd.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.configure(cmd, false) }
	return cmd
}

// configure reads the settings into the flags of cmd and of the console.
func (c *console) configure(cmd *cobra.Command, file bool) error {
	home, err := homeOf(cmd, c.getenv)
	if err != nil {
		return err
	}
	c.settings = newSettings(cmd.Root())
	if file {
		if err := c.settings.loadFile(filepath.Join(home, configName)); err != nil {
			return err
		}
	}
	if err := c.settings.loadEnv(c.getenv); err != nil {
		return err
	}
	flags := cmd.Root().PersistentFlags()
	c.home = home
	c.json = flags.Lookup("output").Value.String() == "json"
	c.quiet, _ = flags.GetBool("quiet")
	c.timeout, _ = flags.GetDuration("timeout")
	c.patient = c.settings.origin("timeout") == originDefault
	c.configured = true
	if c.timeout <= 0 {
		return usage(cmd.CommandPath(), "--timeout must be more than 0, not %v", c.timeout)
	}
	return nil
}

// defaultHome is ~/.chorus, or empty where there is no home directory.
func defaultHome() string {
	dir, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, ".chorus")
}

// homeOf returns the folder that the config file is in: unlike all other
// settings, the home cannot come from that file.
func homeOf(cmd *cobra.Command, getenv func(string) string) (string, error) {
	flag := cmd.Root().PersistentFlags().Lookup("home")
	home := flag.Value.String()
	if env := getenv("PEER_HOME"); env != "" && !flag.Changed {
		home = env
	}
	if home == "" {
		return "", usage(cmd.CommandPath(), "there is no home directory to put .chorus in; name a folder with --home")
	}
	return filepath.Abs(home)
}

// strict makes each command of the tree refuse what it does not know, with a
// suggestion.
func strict(cmd *cobra.Command) {
	cmd.DisableFlagsInUseLine = true
	cmd.SetFlagErrorFunc(flagError)
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.Args = cobra.ArbitraryArgs
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		}
	}
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err == nil || hasCode(err) {
				return err
			}
			return usage(cmd.CommandPath(), "%s: %v; usage: %s", cmd.CommandPath(), err, cmd.UseLine())
		}
	}
	for _, sub := range cmd.Commands() {
		strict(sub)
	}
}

func unknownCommand(parent *cobra.Command, name string) error {
	var names []string
	for _, sub := range parent.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return usage(parent.CommandPath(), "%s has no command %q%s", parent.CommandPath(), name, didYouMean(name, names))
}

// flagError explains what is wrong with a flag.
func flagError(cmd *cobra.Command, err error) error {
	path := cmd.CommandPath()
	var unknown *pflag.NotExistError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown):
		name := unknown.GetSpecifiedName()
		if unknown.GetSpecifiedShortnames() != "" {
			return usage(path, "%s has no flag -%s", path, name)
		}
		var names []string
		for _, f := range flagsOf(cmd) {
			names = append(names, "--"+f.Name)
		}
		return usage(path, "%s has no flag --%s%s", path, name, didYouMean("--"+name, names))
	case errors.As(err, &invalid):
		f := invalid.GetFlag()
		return usage(path, "--%s: %v", f.Name, explainValue(f, invalid.GetValue(), invalid.Unwrap()))
	default:
		return usage(path, "%s: %v", path, err)
	}
}

// helpCommand is `peer help COMMAND`.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "help [COMMAND]...",
		Short:             "Explain a command",
		PersistentPreRunE: func(*cobra.Command, []string) error { return nil },
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || topic == nil {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			if len(rest) > 0 {
				return unknownCommand(topic, rest[0])
			}
			return topic.Help()
		},
	}
}

// choice is a flag whose value is one of a few words; the first is the default.
type choice struct {
	words []string
	value string
}

// newLevel is the choice of a level, at first none.
func newLevel() *choice { return &choice{words: levels} }

// newWriteLevel is that of a put or delete.
func newWriteLevel() *choice {
	return &choice{words: append(slices.Clone(levels), string(client.LevelSloppy))}
}

func newChoice(words ...string) *choice { return &choice{words: words, value: words[0]} }

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }

func (c *choice) Set(s string) error {
	for _, w := range c.words {
		if s == w {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s%s", s, strings.Join(c.words, ", "), didYouMean(s, c.words))
}

var levels = []string{string(client.LevelQuorum), string(client.LevelOne), string(client.LevelAll)}
