package main

import (
	"strings"
	"testing"
	"time"

	"github.com/chorus-net/chorus/overlay/client"
)

func TestNamespaceSettings(t *testing.T) {
	p := startPeers(t, "ada")[0]
	if out := p.ok("ns", "set", "sessions", "--ttl", "1h", "--w", "all"); !strings.HasPrefix(out, "set sessions at 1 of 1 replicas") {
		t.Errorf("ns set: %q", out)
	}
	p.ok("ns", "set", "sessions", "--r", "one")
	var ns client.Namespace
	p.doc(&ns, "ns", "show", "sessions")
	if ns.TTL != time.Hour || ns.W != client.LevelAll || ns.R != client.LevelOne || ns.Class != "eventual" || ns.Replicas != 3 {
		t.Errorf("settings %+v", ns)
	}
	p.ok("put", "sessions/1", "v")
	p.ok("put", "sessions/2", "v", "--ttl", "0")
	var one, two client.Record
	p.doc(&one, "get", "sessions/1")
	p.doc(&two, "get", "sessions/2")
	if one.Expires.IsZero() || !two.Expires.IsZero() {
		t.Errorf("expiry: %v by the namespace, %v with --ttl 0", one.Expires, two.Expires)
	}
	if out := p.ok("ns", "ls"); !strings.Contains(out, "sessions   all  one  1h0m0s  eventual         3") {
		t.Errorf("ns ls:\n%s", out)
	}
	if out := p.ok("ns", "show", "plain"); !strings.Contains(out, "never") || !strings.Contains(out, "quorum") {
		t.Errorf("a namespace without settings:\n%s", out)
	}
	p.ok("ns", "set", "vault", "--n", "5")
	p.ok("ns", "set", "vault", "--ttl", "1h")
	if p.doc(&ns, "ns", "show", "vault"); ns.Replicas != 5 || ns.TTL != time.Hour {
		t.Errorf("settings %+v", ns)
	}
	var r client.Receipt
	if p.doc(&r, "put", "vault/1", "v"); r.N != 1 || r.W != 1 || len(r.Acks) != 1 {
		t.Errorf("receipt of five replicas in a ring of one: %+v", r)
	}
	if out := p.ok("trace", "vault/1"); !strings.Contains(out, "5 replicas") {
		t.Errorf("trace:\n%s", out)
	}
	p.run("ns", "set", "vault", "--n", "3").fails(client.CodeReplicasFixed, "5 replicas")
	p.run("ns", "set", "sessions", "--n", "5").fails(client.CodeReplicasFixed, "it has keys")
	meet(client.CodeNamespaceClosed) // by a change that nobody ends, in package overlay
	p.run("ns", "set", "a", "--n", "0").fails(client.CodeUsage, "too few")
	p.run("ns", "set", "a", "--n", "8").fails(client.CodeUsage, "1 to 7")
	p.run("ns", "set", "a/b", "--w", "one").fails(client.CodeBadKey, "'/'")
	p.run("ns", "set", "a").fails(client.CodeUsage, "at least one of")
	p.run("ns", "set", "a", "--ttl", "-1s").fails(client.CodeUsage, "-1s")
}
