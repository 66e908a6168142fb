package bootstrap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var epoch = time.Date(2025, 11, 23, 4, 0, 0, 0, time.UTC)

func goldenBook(t testing.TB) *Book {
	b := &Book{}
	b.Seen(contact(t, 1, "/ip4/192.0.2.1/tcp/4747", "/ip4/192.0.2.1/udp/4747/quic-v1"), epoch)
	b.Seen(contact(t, 2, "/dns4/b.example/tcp/4747"), epoch.Add(time.Minute))
	b.Seen(contact(t, 3, "/ip6/2001:db8::3/tcp/4747"), epoch.Add(time.Hour))
	b.Failed(contact(t, 3).ID)
	return b
}

func TestBookGolden(t *testing.T) {
	b := goldenBook(t)
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "peers.json", data)
	got, err := ParseBook(data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := got.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(data), string(again)); diff != "" {
		t.Errorf("read and written again (-want +got):\n%s", diff)
	}
}

// The zero book is a file, too.
func TestBookEmpty(t *testing.T) {
	data, err := (&Book{}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseBook(data)
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() != 0 {
		t.Errorf("%d peers", b.Len())
	}
}

func TestBookOrder(t *testing.T) {
	b := goldenBook(t)
	order := func() string {
		var s []string
		for _, c := range b.Contacts() {
			s = append(s, c.Addrs[0])
		}
		return strings.Join(s, " ")
	}
	steps := []struct {
		do   func()
		want string
	}{
		{func() {}, "/dns4/b.example/tcp/4747 /ip4/192.0.2.1/tcp/4747 /ip6/2001:db8::3/tcp/4747"},
		{func() { b.Failed(contact(t, 2).ID) }, "/ip4/192.0.2.1/tcp/4747 /ip6/2001:db8::3/tcp/4747 /dns4/b.example/tcp/4747"},
		{func() { b.Seen(contact(t, 2, "/ip4/192.0.2.2/tcp/1"), epoch.Add(time.Second)) }, "/ip4/192.0.2.2/tcp/1 /ip4/192.0.2.1/tcp/4747 /ip6/2001:db8::3/tcp/4747"},
		{func() { b.Seen(contact(t, 1), epoch.Add(time.Hour)) }, "/ip4/192.0.2.2/tcp/1 /ip4/192.0.2.1/tcp/4747 /ip6/2001:db8::3/tcp/4747"},
		{func() { b.Failed(contact(t, 9).ID) }, "/ip4/192.0.2.2/tcp/1 /ip4/192.0.2.1/tcp/4747 /ip6/2001:db8::3/tcp/4747"},
		{func() { b.Forget(contact(t, 1).ID) }, "/ip4/192.0.2.2/tcp/1 /ip6/2001:db8::3/tcp/4747"},
	}
	for i, s := range steps {
		s.do()
		if got := order(); got != s.want {
			t.Fatalf("after step %d: %s, want %s", i, got, s.want)
		}
	}
}

func TestBookBound(t *testing.T) {
	b := &Book{}
	for i := range maxContacts + 10 {
		b.Seen(contact(t, i, fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i+1)), epoch.Add(time.Duration(i)*time.Second))
	}
	if b.Len() != maxContacts {
		t.Fatalf("%d peers, want %d", b.Len(), maxContacts)
	}
	if last := b.Contacts()[maxContacts-1].Addrs[0]; last != "/ip4/192.0.2.1/tcp/11" {
		t.Errorf("the oldest kept is %s: the oldest ten should be gone", last)
	}
	many := make([]string, maxContactAddrs+5)
	for i := range many {
		many[i] = fmt.Sprintf("/ip4/192.0.2.1/tcp/%d", i+1)
	}
	b.Seen(contact(t, 1, many...), epoch.Add(time.Hour))
	if n := len(b.Contacts()[0].Addrs); n != maxContactAddrs {
		t.Errorf("%d addresses kept, want %d", n, maxContactAddrs)
	}
	data, err := b.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseBook(data); err != nil {
		t.Errorf("a full book cannot be read back: %v", err)
	}
}

func TestParseBookRefuses(t *testing.T) {
	data, err := goldenBook(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for old, repl := range map[string]string{
		`"format": 1`:              `"format": 2`,
		`"peers"`:                  `"pears"`,
		`/dns4/b.example/tcp/4747`: `b.example:4747`,
		`"id": "12D3`:              `"id": "!2D3`,
		`2025-11-23T04:01:00Z`:     `yesterday`,
	} {
		s := strings.Replace(string(data), old, repl, 1)
		if s == string(data) {
			t.Fatalf("%s is not in the golden book", old)
		}
		if _, err := ParseBook([]byte(s)); err == nil {
			t.Errorf("accepted %s for %s", repl, old)
		}
	}
}

func FuzzParseBook(f *testing.F) {
	data, err := goldenBook(f).Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"format":1,"peers":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := ParseBook(data)
		if err != nil {
			return
		}
		if b.Len() > maxContacts {
			t.Fatalf("%d peers", b.Len())
		}
		out, err := b.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseBook(out)
		if err != nil {
			t.Fatalf("%s\ncannot be read: %v", out, err)
		}
		if diff := cmp.Diff(b.Contacts(), again.Contacts()); diff != "" {
			t.Fatal(diff)
		}
	})
}
