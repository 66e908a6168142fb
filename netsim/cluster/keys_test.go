package cluster_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/netsim/cluster"
	"github.com/chorus-net/chorus/overlay"
	"github.com/chorus-net/chorus/overlay/client"
)

// What one peer stores, any other reads, lists and deletes, whatever the bytes,
// up to the limits.
func TestKeys(t *testing.T) {
	t.Parallel()
	c, ctx := start(t, cluster.Settings{Peers: 4})
	nodes := c.Nodes()

	t.Run("odd bytes", func(t *testing.T) {
		for i, key := range []string{
			"plain", "/", "//", "/leading", "ns/", "a/b/c", "ü/ß∂", "line\nbreak", "nul\x00byte", " ", "日本/語", "'\"\\$(x)",
			strings.Repeat("k", 1024), strings.Repeat("n", 1000) + "/" + strings.Repeat("k", 23),
		} {
			value := []byte("\x00\xff" + key)
			if _, err := nodes[i%4].Put(ctx, key, value); err != nil {
				t.Errorf("put %.20q: %v", key, err)
				continue
			}
			rec, err := nodes[(i+1)%4].Get(ctx, key)
			if err != nil || !bytes.Equal(rec.Value, value) || rec.Key != key {
				t.Errorf("get %.20q: %.20q is %.20q, %v", key, rec.Key, rec.Value, err)
			}
			listed, err := nodes[(i+2)%4].List(ctx, key, "", 1)
			if err != nil || len(listed) != 1 || listed[0] != key {
				t.Errorf("list %.20q: %.20q, %v", key, listed, err)
			}
			if _, err := nodes[(i+3)%4].Delete(ctx, key); err != nil {
				t.Errorf("delete %.20q: %v", key, err)
			}
			if _, err := nodes[i%4].Get(ctx, key); !errors.Is(err, overlay.ErrNotFound) {
				t.Errorf("get %.20q after delete: %v", key, err)
			}
		}
	})

	t.Run("limits", func(t *testing.T) {
		full := bytes.Repeat([]byte{7}, 512<<10)
		if _, err := nodes[0].Put(ctx, "full", full); err != nil {
			t.Error(err)
		}
		for _, node := range nodes {
			if rec, err := node.Get(ctx, "full", overlay.WithR(overlay.All)); err != nil || !bytes.Equal(rec.Value, full) {
				t.Errorf("get 512 KiB at %s: %d bytes, %v", node.Name(), len(rec.Value), err)
			}
		}
		if _, err := nodes[0].Put(ctx, "empty", nil); err != nil {
			t.Error(err)
		}
		if rec, err := nodes[1].Get(ctx, "empty"); err != nil || len(rec.Value) != 0 {
			t.Errorf("get an empty value: %q, %v", rec.Value, err)
		}
		for _, tt := range []struct {
			key   string
			value []byte
			opts  []overlay.PutOption
			want  client.ErrorCode
		}{
			{key: "", want: client.CodeBadKey},
			{key: "\xff", want: client.CodeBadKey},
			{key: "_code/x", want: client.CodeBadKey},
			{key: strings.Repeat("k", 1025), want: client.CodeKeyTooLong},
			{key: "k", value: make([]byte, 512<<10+1), want: client.CodeValueTooLarge},
			{key: "k", opts: []overlay.PutOption{overlay.WithTTL(-1)}, want: client.CodeUsage},
			{key: "k", opts: []overlay.PutOption{overlay.WithW("most")}, want: client.CodeUsage},
		} {
			_, err := nodes[0].Put(ctx, tt.key, tt.value, tt.opts...)
			if e := client.AsError(err); e == nil || e.Code != tt.want {
				t.Errorf("put %.20q, %d bytes: %v, want %s", tt.key, len(tt.value), err, tt.want)
			}
		}
		for _, key := range []string{"", "\xff", "_code/x", strings.Repeat("k", 1025)} {
			if _, err := nodes[0].Get(ctx, key); err == nil || errors.Is(err, overlay.ErrNotFound) {
				t.Errorf("get %.20q: %v", key, err)
			}
		}
	})

	t.Run("delete", func(t *testing.T) {
		if _, err := nodes[0].Delete(ctx, "never was"); err != nil {
			t.Errorf("delete what is not there: %v", err)
		}
		// A later put wins over an earlier delete at another peer, whatever their clocks.
		for i := range 20 {
			if _, err := nodes[i%4].Delete(ctx, "back"); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprint(i)
			if _, err := nodes[(i+1)%4].Put(ctx, "back", []byte(want)); err != nil {
				t.Fatal(err)
			}
			if rec, err := nodes[(i+2)%4].Get(ctx, "back"); err != nil || string(rec.Value) != want {
				t.Fatalf("get after delete and put: %q, %v, want %s", rec.Value, err, want)
			}
		}
	})

	t.Run("expiry", func(t *testing.T) {
		if _, err := nodes[0].Put(ctx, "ttl/long", nil, overlay.WithTTL(time.Hour)); err != nil {
			t.Fatal(err)
		}
		rec, err := nodes[1].Get(ctx, "ttl/long")
		if err != nil || time.Until(rec.Expires) < 50*time.Minute || time.Until(rec.Expires) > time.Hour {
			t.Errorf("get with an hour to live: %+v, %v", rec, err)
		}
		if _, err := nodes[0].Put(ctx, "ttl/short", nil, overlay.WithTTL(500*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		for _, node := range nodes {
			eventually(t, "expiry at "+node.Name(), func() error {
				_, err := node.Get(ctx, "ttl/short")
				if !errors.Is(err, overlay.ErrNotFound) {
					return fmt.Errorf("get: %w", err)
				}
				return nil
			})
		}
		if keys, err := nodes[2].List(ctx, "ttl/", "", 0); err != nil || !slices.Equal(keys, []string{"ttl/long"}) {
			t.Errorf("listed %q, %v", keys, err)
		}
		if _, err := nodes[3].Put(ctx, "ttl/short", []byte("again")); err != nil {
			t.Fatal(err)
		}
		if rec, err := nodes[0].Get(ctx, "ttl/short"); err != nil || !rec.Expires.IsZero() {
			t.Errorf("put again for good: %+v, %v", rec, err)
		}
	})

	t.Run("list", func(t *testing.T) {
		var want []string
		for i := range 150 {
			want = append(want, fmt.Sprintf("list/%03d", i))
		}
		put(t, ctx, nodes, "other/", 10)
		for i, key := range want {
			if _, err := nodes[i%4].Put(ctx, key, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, node := range nodes {
			var got []string
			for after := ""; ; {
				page, err := node.List(ctx, "list/", after, 40)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, page...)
				if len(page) < 40 {
					break
				}
				after = page[len(page)-1]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("listed at %s in pages (-want +got):\n%s", node.Name(), diff)
			}
		}
		for _, tt := range []struct {
			prefix, after string
			limit         int
			want          []string
		}{
			{"list/14", "", 0, want[140:]},
			{"list/", "list/147", 0, want[148:]},
			{"list/", "list/0475", 3, want[48:51]},
			{"list/", "zzz", 0, []string{}},
			{"lis", "", 2, want[:2]},
			{"none/", "", 0, []string{}},
		} {
			got, err := nodes[0].List(ctx, tt.prefix, tt.after, tt.limit)
			if diff := cmp.Diff(tt.want, got, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); err != nil || diff != "" {
				t.Errorf("list %q after %q, %d: %v (-want +got):\n%s", tt.prefix, tt.after, tt.limit, err, diff)
			}
		}
	})
}
