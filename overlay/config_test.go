package overlay

import (
	"context"
	"strings"
	"testing"
)

func TestConfigRefuses(t *testing.T) {
	f := Func("f/v1", func(context.Context, int) (int, error) { return 0, nil })
	for _, tt := range []struct {
		cfg  Config
		want string
	}{
		{Config{Shards: 100}, "config Shards: 100 is not a power of two from 1 to 65536"},
		{Config{Shards: 1 << 17}, "config Shards"},
		{Config{Shards: -1}, "config Shards"},
		{Config{Replicas: 17}, "config Replicas: 17 is not within 1 to 16"},
		{Config{Replicas: -1}, "config Replicas"},
		{Config{Positions: 65}, "config Positions: 65 is not within 1 to 64"},
		{Config{Weight: 801}, "config Weight: 801 is not within 1 to 800"},
		{Config{Weight: -1}, "config Weight: -1 is not within 1 to 800"},
		{Config{Positions: 64, Weight: 101}, "config Weight: 101 is not within 1 to 100"},
		{Config{Engine: "badger4"}, "config Home: an engine that keeps data on disk needs a home"},
		{Config{Engine: "tape"}, "config Home"},
		{Config{Name: strings.Repeat("n", 65)}, "config Name: 65 bytes, at most 64"},
		{Config{ReplaceAfter: -1}, "config ReplaceAfter: -1ns is negative"},
		{Config{RepairEvery: -1}, "config RepairEvery: -1ns is negative"},
		{Config{Funcs: []AnyFunc{f, f}}, `config Funcs: "f/v1" is registered twice`},
	} {
		node, err := Join(t.Context(), tt.cfg)
		if err == nil {
			node.Kill()
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.cfg, err, tt.want)
		}
	}
	if err := (Config{}).withDefaults().validate(); err != nil {
		t.Errorf("the zero Config: %v", err)
	}
	if c := (Config{Workers: -3}).withDefaults(); c.Workers != 0 {
		t.Errorf("%d workers, want none", c.Workers)
	}
}

func TestJoinRefuses(t *testing.T) {
	listen := []string{"/ip4/127.0.0.1/tcp/0"}
	for what, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"no ring":            {Config{Listen: listen}, "no-ring"},
		"address without ID": {Config{Listen: listen, Peers: []string{"/ip4/127.0.0.1/tcp/1"}}, "bad-address"},
		"unknown engine":     {Config{Listen: listen, Create: true, Open: true, Home: t.TempDir(), Engine: "tape"}, "bad-config"},
		"function of no name": {Config{Listen: listen, Create: true, Open: true, Funcs: []AnyFunc{
			Func("two words", func(context.Context, int) (int, error) { return 0, nil }),
		}}, "usage"},
		"builtin's name": {Config{Listen: listen, Create: true, Open: true, Funcs: []AnyFunc{
			Func("sleep/v1", func(context.Context, int) (int, error) { return 0, nil }),
		}}, "usage"},
	} {
		node, err := Join(t.Context(), tt.cfg)
		if err == nil {
			node.Kill()
		}
		if code := codeOf(err); code != tt.want {
			t.Errorf("%s: code %q of %v, want %s", what, code, err, tt.want)
		}
	}
}
