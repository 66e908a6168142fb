package bootstrap

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePlaces(t *testing.T) {
	id1, id2 := testID(t, 1).String(), testID(t, 2).String()
	file := filepath.Join(t.TempDir(), "peers")
	content := "# the office\n\n  /ip4/192.0.2.2/tcp/4747/p2p/" + id2 + "  \r\n/ip4/192.0.2.1/udp/4747/quic-v1/p2p/" + id1
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		in   []string
		want []Contact
	}{
		{"none", nil, nil},
		{"tcp", []string{"/ip4/192.0.2.1/tcp/4747/p2p/" + id1}, []Contact{contact(t, 1, "/ip4/192.0.2.1/tcp/4747")}},
		{"the old name of p2p", []string{"/ip4/192.0.2.1/tcp/4747/ipfs/" + id1}, []Contact{contact(t, 1, "/ip4/192.0.2.1/tcp/4747")}},
		{"names", []string{"/dns4/a.example/tcp/1/p2p/" + id1, "/dnsaddr/b.example/p2p/" + id2}, []Contact{
			contact(t, 1, "/dns4/a.example/tcp/1"), contact(t, 2, "/dnsaddr/b.example"),
		}},
		{"relayed", []string{"/ip4/192.0.2.1/tcp/1/p2p/" + id2 + "/p2p-circuit/p2p/" + id1}, []Contact{
			contact(t, 1, "/ip4/192.0.2.1/tcp/1/p2p/"+id2+"/p2p-circuit"),
		}},
		{"one peer, two addresses", []string{
			" /ip4/192.0.2.1/tcp/1/p2p/" + id1, "/ip6/2001:db8::1/tcp/1/p2p/" + id2,
			"/ip4/192.0.2.1/udp/1/quic-v1/p2p/" + id1 + "\n", "/ip4/192.0.2.1/tcp/1/p2p/" + id1,
		}, []Contact{
			contact(t, 1, "/ip4/192.0.2.1/tcp/1", "/ip4/192.0.2.1/udp/1/quic-v1"),
			contact(t, 2, "/ip6/2001:db8::1/tcp/1"),
		}},
		{"file", []string{"@" + file, "/ip4/192.0.2.1/tcp/1/p2p/" + id1}, []Contact{
			contact(t, 2, "/ip4/192.0.2.2/tcp/4747"),
			contact(t, 1, "/ip4/192.0.2.1/udp/4747/quic-v1", "/ip4/192.0.2.1/tcp/1"),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePlaces(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, p.Contacts); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var relays []Contact
			if tt.name == "relayed" {
				relays = []Contact{contact(t, 2, "/ip4/192.0.2.1/tcp/1")}
			}
			if diff := cmp.Diff(relays, p.Relays); diff != "" {
				t.Errorf("relays (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParsePlacesRefuses(t *testing.T) {
	id := testID(t, 1).String()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("# list\n192.0.2.1:4747\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, in, code string
		want           []string
	}{
		{"empty", "", CodeBadAddress, []string{"not a multiaddr", "/p2p/PEER-ID"}},
		{"host and port", "192.0.2.1:4747", CodeBadAddress, []string{"which peer", "/ip4/192.0.2.1/tcp/4747/p2p/PEER-ID"}},
		{"host and port, IPv6", "[2001:db8::1]:4747", CodeBadAddress, []string{"/ip6/2001:db8::1/tcp/4747/p2p/PEER-ID"}},
		{"name and port", "peer.example:4747", CodeBadAddress, []string{"/dns/peer.example/tcp/4747/p2p/PEER-ID"}},
		{"a word", "office", CodeBadAddress, []string{"not a multiaddr"}},
		{"no peer", "/ip4/192.0.2.1/tcp/4747", CodeBadAddress, []string{"which peer", "peer status"}},
		{"no place", "/p2p/" + id, CodeBadAddress, []string{"where"}},
		{"no such protocol", "/ip5/1/p2p/" + id, CodeBadAddress, []string{"ip5"}},
		{"bad ID", "/ip4/192.0.2.1/tcp/4747/p2p/12D3", CodeBadAddress, []string{"12D3"}},
		{"bad port", "/ip4/192.0.2.1/tcp/70000/p2p/" + id, CodeBadAddress, []string{"70000"}},
		{"long", "/dns4/" + strings.Repeat("x", maxAddr), CodeBadAddress, []string{"at most"}},
		{"no file", "@" + filepath.Join(dir, "none"), CodeNoFile, []string{"none", "no such file"}},
		{"a bad line", "@" + bad, CodeBadAddress, []string{bad + " line 2", "192.0.2.1:4747"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParsePlaces([]string{tt.in})
			wantCode(t, err, tt.code, tt.want...)
		})
	}
}

func TestParsePlacesBound(t *testing.T) {
	var many []string
	for i := range maxContacts + 1 {
		many = append(many, contact(t, i, "/ip4/192.0.2.1/tcp/1").String())
	}
	if _, err := ParsePlaces(many[1:]); err != nil {
		t.Fatalf("%d peers: %v", maxContacts, err)
	}
	_, err := ParsePlaces(many)
	wantCode(t, err, CodeBadAddress, "257 peers")
}

func FuzzParseContact(f *testing.F) {
	id := testID(f, 1).String()
	for _, s := range []string{
		"/ip4/192.0.2.1/tcp/4747/p2p/" + id, "/dns4/a.example/udp/1/quic-v1/p2p/" + id, "/p2p/" + id,
		"/ip4/192.0.2.1/tcp/1/p2p/" + id + "/p2p-circuit/p2p/" + id, "192.0.2.1:4747", "[::1]:1", "/unix/a/b/p2p/" + id, "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseContact(s)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeBadAddress {
				t.Fatalf("%q: error %v has no code", s, err)
			}
			return
		}
		again, err := ParseContact(c.String())
		if err != nil {
			t.Fatalf("%q became %q: %v", s, c, err)
		}
		if diff := cmp.Diff(c, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
