package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/chorus-net/chorus/overlay/client"
)

// configName is the name of the config file in a home.
const configName = "config.toml"

// Where the value of a setting may come from, besides "env NAME" and
// "file PATH:LINE".
const (
	originDefault = "default"
	originFlag    = "flag"
)

// setting is one flag of one command. Its key is the path of the flag:
// run.listen for `peer run --listen`, in the config file a key listen of table
// run, in the environment PEER_RUN_LISTEN.
type setting struct {
	key    string
	flag   *pflag.Flag
	origin string
}

func (s *setting) env() string {
	return "PEER_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(s.key))
}

// settings are all flags of the command tree, ordered by key.
type settings struct {
	list []*setting
}

// newSettings collects the flags of the tree. Those that were parsed already
// count as set by a flag.
func newSettings(root *cobra.Command) *settings {
	s := new(settings)
	var walk func(cmd *cobra.Command, path string)
	walk = func(cmd *cobra.Command, path string) {
		for _, f := range ownFlags(cmd) {
			origin := originDefault
			if f.Changed {
				origin = originFlag
			}
			s.list = append(s.list, &setting{key: path + f.Name, flag: f, origin: origin})
		}
		for _, sub := range cmd.Commands() {
			walk(sub, path+sub.Name()+".")
		}
	}
	walk(root, "")
	slices.SortFunc(s.list, func(a, b *setting) int { return strings.Compare(a.key, b.key) })
	return s
}

// ownFlags returns the flags that cmd itself declares for people.
func ownFlags(cmd *cobra.Command) []*pflag.Flag {
	var flags []*pflag.Flag
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && !f.Hidden {
			flags = append(flags, f)
		}
	})
	return flags
}

// flagsOf returns the flags that cmd accepts.
func flagsOf(cmd *cobra.Command) []*pflag.Flag {
	flags := ownFlags(cmd)
	cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f) })
	return flags
}

func (s *settings) find(key string) *setting {
	i, ok := slices.BinarySearchFunc(s.list, key, func(a *setting, key string) int { return strings.Compare(a.key, key) })
	if !ok {
		return nil
	}
	return s.list[i]
}

// origin tells what set the key.
func (s *settings) origin(key string) string {
	if set := s.find(key); set != nil {
		return set.origin
	}
	return originDefault
}

// loadFile fills the flags that the command line did not set from a config
// file.
func (s *settings) loadFile(path string) error {
	entries, err := readConfig(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := s.loadEntry(path, e); err != nil {
			return err
		}
	}
	return nil
}

// loadEnv fills the flags that the command line did not set from the
// environment.
func (s *settings) loadEnv(getenv func(string) string) error {
	for _, set := range s.list {
		value := getenv(set.env())
		if value == "" || set.origin == originFlag {
			continue
		}
		if err := assign(set.flag, value); err != nil {
			return &client.Error{
				Code:    client.CodeBadConfig,
				Message: fmt.Sprintf("environment variable %s: %v", set.env(), err),
				Fix:     "unset " + set.env(),
			}
		}
		set.origin = "env " + set.env()
	}
	return nil
}

// loadEntry applies one entry of the config file.
func (s *settings) loadEntry(path string, e entry) error {
	set := s.find(e.key)
	switch {
	case e.key == "home":
		return badConfig(path, e.line, `key "home" cannot be set here: the home is where this file is found; use --home or PEER_HOME`)
	case set == nil && e.table && slices.Contains(s.tables(), e.key):
		return nil
	case set == nil:
		return badConfig(path, e.line, "unknown key %q%s", e.key, didYouMean(e.key, append(s.keys(), s.tables()...)))
	case e.table:
		return badConfig(path, e.line, "key %q is a value, not a table", e.key)
	case set.origin == originFlag:
		return nil
	}
	var err error
	if list, ok := set.flag.Value.(pflag.SliceValue); ok && e.list {
		if err = list.Replace(e.values); err != nil {
			err = explainValue(set.flag, strings.Join(e.values, ","), err)
		}
	} else if e.list {
		err = fmt.Errorf("a list, where one value is expected")
	} else {
		err = assign(set.flag, e.values[0])
	}
	if err != nil {
		return badConfig(path, e.line, "key %q: %v", e.key, err)
	}
	set.origin = fmt.Sprintf("file %s:%d", path, e.line)
	return nil
}

// assign sets a flag from text and says what is wrong without the names of Go
// functions in it. It replaces what the flag held.
func assign(f *pflag.Flag, text string) error {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		if err := list.Replace(strings.Split(text, ",")); err != nil {
			return explainValue(f, text, err)
		}
		return nil
	}
	if err := f.Value.Set(text); err != nil {
		return explainValue(f, text, err)
	}
	return nil
}

// explainValue says why a flag does not take a text, for which it returned err.
func explainValue(f *pflag.Flag, text string, err error) error {
	switch f.Value.Type() {
	case "int", "int64":
		return fmt.Errorf("%q is not a whole number", text)
	case "intSlice":
		return fmt.Errorf("%q is not a list of whole numbers", text)
	case "float64":
		return fmt.Errorf("%q is not a number", text)
	case "duration":
		return fmt.Errorf("%q is not a duration such as 30s or 1h15m", text)
	case "bool":
		return fmt.Errorf("%q is neither true nor false", text)
	default:
		return err
	}
}

func (s *settings) keys() []string {
	var keys []string
	for _, set := range s.list {
		if set.key != "home" {
			keys = append(keys, set.key)
		}
	}
	return keys
}

// tables returns the names of the tables that keys lie in.
func (s *settings) tables() []string {
	var names []string
	for _, set := range s.list {
		for i, r := range set.key {
			if r == '.' {
				names = append(names, set.key[:i])
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
