package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chorus-net/chorus/bootstrap"
	"github.com/chorus-net/chorus/internal/p2p"
	"github.com/chorus-net/chorus/overlay/client"
)

// A ring that is closed, from its making to a member that was invited; and what
// those meet who were not.
func TestClosedRing(t *testing.T) {
	dir := t.TempDir()
	heard := new(said)
	at := func(name string) *shell { return &shell{t: t, home: filepath.Join(dir, name), said: heard} }
	ada := at("ada")
	if out := ada.ok("init", "--ring", "choir"); !strings.Contains(out, "ring.key") || !strings.Contains(out, "peer invite") {
		t.Errorf("init does not say what to keep, or what is next:\n%s", out)
	}
	first := ada.start("--name", "ada", "--log-level", "debug")
	token := strings.TrimSpace(ada.ok("invite"))
	if len(token) > 320 {
		t.Errorf("a token of %d characters", len(token))
	}
	bob := at("bob")
	second := bob.start("--name", "bob", "--join", token, "--log-level", "debug")
	agreed(t, []*process{first, second})
	secrets := secretsOf(t, ada, bob)
	bob.ok("put", "greeting", "hello")
	if got := ada.ok("get", "greeting"); got != "hello" {
		t.Errorf("got %q", got)
	}
	bob.ok("submit", "sha256", "--input", "{i}", "--n", "5")

	// It keeps its pass, and needs no token again.
	if code := second.signal(syscall.SIGINT); code != 0 {
		t.Errorf("exit status %d", code)
	}
	before := second.logs()
	second = bob.start("--name", "bob", "--log-level", "debug")
	agreed(t, []*process{first, second})

	var d client.Diagnosis
	ada.doc(&d, "doctor")
	if out := ada.ok("doctor"); d.Failed() > 0 || len(d.Checks) < 8 || !strings.Contains(out, "warn  reach") || !strings.Contains(out, "fix: peer run --listen") {
		t.Errorf("%+v\n%s", d, out)
	}
	t.Run("refused", func(t *testing.T) { testRefused(t, first, second, token) })
	t.Run("guests", func(t *testing.T) { testGuests(t, first) })
	t.Run("owned", func(t *testing.T) { testOwned(t, first, second) })
	t.Run("rotated", func(t *testing.T) { testRotated(t, first, second) })
	t.Run("revoked", func(t *testing.T) { testRevoked(t, first, second, token) })
	bob.env = []string{"PEER_RUN_JOIN=" + token}
	if out := bob.ok("config", "show"); strings.Contains(out, token) || !strings.Contains(out, "(a token)") {
		t.Errorf("config show prints a token:\n%s", out)
	}
	for _, s := range []*shell{ada, bob} {
		for _, command := range []string{"config show --origin", "status", "ring", "doctor", "top", "job ls"} {
			s.run(strings.Fields(command)...)
			s.run(append(strings.Fields(command), "-o", "json")...)
		}
	}
	maps.Copy(secrets, secretsOf(t, ada)) // the ring's key is another one
	for _, token := range heard.tokens {
		end := token[len(token)-60:] // of the signature
		secrets["the token that ends in "+end] = []byte(end)
	}
	checkNoSecret(t, secrets, map[string]string{
		"ada's log": first.logs(), "bob's first run": before, "bob's log": second.logs(), "what commands printed": heard.text.String(),
	})
}

// secretsOf returns what nobody may see of homes: a part of each private key, and of each pass.
func secretsOf(t *testing.T, shells ...*shell) map[string][]byte {
	t.Helper()
	secrets := make(map[string][]byte)
	for _, s := range shells {
		for _, name := range []string{bootstrap.RingKeyFile, bootstrap.IdentityFile, bootstrap.PassFile} {
			b, err := os.ReadFile(filepath.Join(s.home, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			secret := b[4:36] // of a key: behind its type and length, the seed
			if name == bootstrap.PassFile {
				secret = b[len(b)-64:] // the last signature
			}
			secrets[fmt.Sprintf("%s of %s, %x", name, filepath.Base(s.home), sha256.Sum256(secret))] = secret
		}
	}
	return secrets
}

// checkNoSecret checks that logs, at their most talkative, and what commands print have no
// secret in any form that it could be printed in.
func checkNoSecret(t *testing.T, secrets map[string][]byte, texts map[string]string) {
	t.Helper()
	for where, text := range texts {
		if strings.Contains(where, "log") && !strings.Contains(text, "level=DEBUG") {
			t.Errorf("%s is not at level debug", where)
		}
		for name, secret := range secrets {
			for form, s := range map[string]string{
				"raw": string(secret[:30]), "hex": hex.EncodeToString(secret[:30]), "Go": strings.Trim(fmt.Sprintf("%d", secret[:30]), "[]"),
				"base64": base64.StdEncoding.EncodeToString(secret[:30]), "base64 for URLs": base64.RawURLEncoding.EncodeToString(secret[:30]),
			} {
				if strings.Contains(text, s) {
					t.Errorf("%s is in %s, as %s:\n%s", name, where, form, text)
				}
			}
		}
	}
}

func testRefused(t *testing.T, ada, bob *process, token string) {
	stranger := func() *shell {
		s := newShell(t)
		s.said = ada.said
		return s
	}
	stranger().run("run", "--join", ada.addr).fails(client.CodeNotInvited, "fix: peer invite")
	stranger().run("run", "--join", token[:100]).fails(client.CodeBadToken)

	short := strings.TrimSpace(ada.ok("invite", "--expires", "1ms"))
	time.Sleep(2 * time.Second) // tokens count whole seconds
	stranger().run("run", "--join", short).fails(client.CodeExpired, "fix: peer invite")

	once := strings.TrimSpace(ada.ok("invite", "--once"))
	cyd := stranger()
	third := cyd.start("--join", once)
	stranger().run("run", "--join", once).fails(client.CodeTokenUsed, "fix: peer invite")
	third.signal(syscall.SIGINT)

	var status client.Status
	bob.doc(&status, "status")
	bound := strings.TrimSpace(ada.ok("invite", "--for", status.ID))
	stranger().run("run", "--join", bound).fails(client.CodeRefused, "another peer")
	bob.run("invite").fails(client.CodeRefused, "may not invite")
	ada.run("invite", "--role", "read", "--inviter").fails(client.CodeUsage, "inviter")
	ada.run("invite", "--for", "bob").fails(client.CodeUsage)

	other := stranger()
	other.ok("init")
	other.run("run", "--join", token).fails(client.CodeWrongRing)
	open := stranger()
	open.ok("init", "--open")
	open.start()
	open.run("invite").fails(client.CodeUsage, "open")
}

// Guests do what their roles allow, and are told what is not.
func testGuests(t *testing.T, ada *process) {
	token := func(role string) string { return strings.TrimSpace(ada.ok("invite", "--role", role)) }
	reader, submitter := newShell(t), newShell(t)
	reader.said, submitter.said = ada.said, ada.said
	reader.start("--name", "rita", "--join", token("read"))
	second := submitter.start("--name", "sam", "--join", token("submit"))
	for _, s := range []*shell{reader, submitter} {
		if got := s.ok("get", "greeting"); got != "hello" {
			t.Errorf("got %q", got)
		}
		s.run("put", "greeting", "bye").fails(client.CodeRefused, "needs role member", "fix: peer invite --role member")
		s.run("put", "k", "v", "--if-version", "0").fails(client.CodeRefused, "needs role member")
		s.run("del", "greeting").fails(client.CodeRefused, "needs role member")
		s.run("leave").fails(client.CodeRefused, "guest")
		s.ok("ls")
		s.ok("trace", "greeting")
		s.ok("ring")
		if out := s.ok("doctor"); !strings.Contains(out, "ok    role    a guest with role") {
			t.Errorf("doctor says\n%s", out)
		}
	}
	reader.run("submit", "sha256", "--input", "x").fails(client.CodeRefused, "needs role submit, caller has read", "fix: peer invite")
	submitter.ok("submit", "sha256", "--input", "{i}", "--n", "5")
	if out := submitter.ok("job", "ls"); !strings.Contains(out, "sha256") {
		t.Errorf("job ls says\n%s", out)
	}
	if out := reader.ok("status"); !strings.Contains(out, "guest: read") || !strings.Contains(out, "calls go to") {
		t.Errorf("status says\n%s", out)
	}
	if code := second.signal(syscall.SIGINT); code != 0 {
		t.Errorf("exit status %d", code)
	}
	submitter.start("--name", "sam") // its home knows whom to turn to
	submitter.ok("get", "greeting")
}

// A peer's namespace is its own, but for whom it lets in.
func testOwned(t *testing.T, ada, bob *process) {
	var mine, his client.Status
	ada.doc(&mine, "status")
	bob.doc(&his, "status")
	key := "@" + mine.ID + "/motd"
	ada.ok("put", key, "sing")
	if got := bob.ok("get", key); got != "sing" {
		t.Errorf("got %q", got)
	}
	bob.run("put", key, "shout").fails(client.CodeNotOwner, "fix: peer grant "+his.ID)
	bob.run("put", "@ada/motd", "shout").fails(client.CodeBadKey, "peer status")
	if out := ada.ok("grant", his.ID, "--expires", "1h"); !strings.Contains(out, his.ID+" may write in @"+mine.ID) {
		t.Errorf("grant said %q", out)
	}
	bob.ok("put", key, "hum")
	if got := ada.ok("get", key); got != "hum" {
		t.Errorf("got %q", got)
	}
	ada.run("grant", his.ID, "--expires", "-1h").fails(client.CodeUsage, "--expires")
	if out := ada.ok("grant", his.ID, "--revoke"); !strings.Contains(out, "ends when it expires") {
		t.Errorf("grant said %q", out)
	}
}

// The ring's key is replaced, and is in the home.
func testRotated(t *testing.T, ada, bob *process) {
	path := filepath.Join(ada.home, bootstrap.RingKeyFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bob.run("rotate").fails(client.CodeRefused, "ring's key")
	ada.run("rotate", "--overlap", "1s").fails(client.CodeUsage, "2m")
	var r client.Rotation
	ada.doc(&r, "rotate", "--overlap", "1h")
	if r.Ring != "choir" || r.Inviters != 1 || r.Told < 1 || time.Until(r.Until) > time.Hour {
		t.Errorf("%+v", r)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) == string(before) {
		t.Errorf("ring.key is what it was, %v", err)
	}
	if got := bob.ok("get", "greeting"); got != "hello" {
		t.Errorf("got %q", got)
	}
}

// Who is put out does not come back.
func testRevoked(t *testing.T, ada, bob *process, first string) {
	var status client.Status
	ada.doc(&status, "status")
	bob.run("revoke", status.ID).fails(client.CodeRefused, "may not revoke")
	bob.doc(&status, "status")
	ada.run("revoke", "nobody").fails(client.CodeNotFound, "fix: peer ring")
	left := strings.TrimSpace(ada.ok("invite"))
	another := newShell(t)
	another.said = ada.said
	bound := strings.TrimSpace(ada.ok("invite", "--for", identityOf(another)))
	if out := ada.ok("revoke", status.ID[len(status.ID)-10:]); !strings.Contains(out, status.ID+" is out") || !strings.Contains(out, "tokens made before are void") {
		t.Errorf("revoke said %q", out)
	}
	bob.signal(syscall.SIGINT)
	bob.run("run").fails(client.CodeRevoked, "fix: who was revoked stays out")
	token := strings.TrimSpace(ada.ok("invite"))
	bob.run("run", "--join", token).fails(client.CodeRevoked)

	// Nor as somebody else, by a token that is left; newcomers with a new one do.
	again := newShell(t)
	again.said = ada.said
	for _, old := range []string{first, left} {
		again.run("run", "--join", old).fails(client.CodeTokenVoid, "put out", "fix: peer invite")
	}
	for s, token := range map[*shell]string{again: token, another: bound} {
		s.start("--join", token).signal(syscall.SIGINT)
	}
}

// identityOf makes the home of a peer that is in no ring yet, and returns its ID.
func identityOf(s *shell) string {
	s.t.Helper()
	home, err := bootstrap.OpenHome(s.home)
	if err != nil {
		s.t.Fatal(err)
	}
	defer home.Close()
	private, err := home.Identity()
	if err != nil {
		s.t.Fatal(err)
	}
	key, err := bootstrap.KeyOf(private)
	if err != nil {
		s.t.Fatal(err)
	}
	return p2p.FormatPeerID(key.PeerID())
}

// Who leaves no majority of shards' voters is warned.
func TestRevokeWarns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	dir := t.TempDir()
	at := func(name string) *shell { return &shell{t: t, home: filepath.Join(dir, name)} }
	ada := at("ada")
	ada.ok("init")
	first := ada.start("--name", "ada")
	token := strings.TrimSpace(ada.ok("invite"))
	second, third := at("bob").start("--name", "bob", "--join", token), at("cyd").start("--name", "cyd", "--join", token)
	agreed(t, []*process{first, second, third})
	var receipt struct{ N int }
	eventually(t, time.Minute, func() bool {
		first.doc(&receipt, "put", "k", "v")
		return receipt.N == 3
	}, func() string { return fmt.Sprintf("a key has %d replicas", receipt.N) })
	if r := ada.run("revoke", "cyd"); r.code != 0 || r.err != "" {
		t.Errorf("one of three: exit status %d, %q", r.code, r.err)
	}
	if r := ada.run("revoke", "bob"); r.code != 0 || !strings.Contains(r.err, "warning: no majority is left of the voters of") || !strings.Contains(r.err, "peer forget --force") {
		t.Errorf("two of three: exit status %d, %q", r.code, r.err)
	}
}

// A clock that is behind by years is named.
func TestClosedRingClock(t *testing.T) {
	s := newShell(t)
	home, err := bootstrap.OpenHome(s.home)
	if err != nil {
		t.Fatal(err)
	}
	later := time.Now().AddDate(20, 0, 0)
	ring, key, err := bootstrap.NewClosedRing("choir", 16, 3, later)
	if err != nil {
		t.Fatal(err)
	}
	if err := home.CreateClosed(ring, key, later); err != nil {
		t.Fatal(err)
	}
	if err := home.Close(); err != nil {
		t.Fatal(err)
	}
	s.run("run").fails(client.CodeBadClock, "clock here says", "fix: set the clock")
}

func TestPrintDiagnosis(t *testing.T) {
	var b strings.Builder
	printDiagnosis(&b, client.Diagnosis{Checks: []client.Check{
		{Name: "ring", State: client.CheckOK, Detail: "3 peers"}, {Name: "clock", State: client.CheckFail, Detail: "1h behind", Fix: "set it"},
	}})
	const want = "ok    ring    3 peers\nfail  clock   1h behind\n              fix: set it\n"
	if b.String() != want {
		t.Errorf("printed\n%swant\n%s", b.String(), want)
	}
}
