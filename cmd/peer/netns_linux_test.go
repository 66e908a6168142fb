package main

import (
	encoding "encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// machines are network namespaces that stand for hosts: some on a public network, which is a bridge,
// some in offices behind routers that translate addresses.
type machines struct {
	t      *testing.T
	prefix string // of the names of the namespaces
	homes  string // folder of the homes
	hosts  int    // on the public network
	made   int    // links
}

// newMachines makes a public network without hosts. It skips the test where this machine does not allow it.
func newMachines(t *testing.T) *machines {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("the tool ip (of iproute2) is not here")
	}
	sweepMachines()
	m := &machines{t: t, prefix: fmt.Sprintf("chorus-%d-", os.Getpid()), homes: t.TempDir()}
	m.try("netns", "add", m.prefix+"net")
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", m.prefix+"net").Run() }) // it may be gone
	m.try("-n", m.prefix+"net", "link", "add", "bridge", "type", "bridge")
	m.must("-n", m.prefix+"net", "link", "set", "bridge", "up")
	return m
}

// sweepMachines removes the namespaces of test processes that were killed.
func sweepMachines() {
	names, err := os.ReadDir("/run/netns")
	if err != nil {
		return
	}
	for _, name := range names {
		parts := strings.SplitN(name.Name(), "-", 3)
		if len(parts) != 3 || parts[0] != "chorus" {
			continue
		}
		pid, err := strconv.Atoi(parts[1])
		if err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			_ = exec.Command("ip", "netns", "del", name.Name()).Run() // another test may have done it
		}
	}
}

// try runs ip; where it fails, this machine does not have what the test needs.
func (m *machines) try(args ...string) {
	m.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		m.t.Skipf("this machine does not allow ip %s: %s", strings.Join(args, " "), strings.TrimSpace(string(out)))
	}
}

func (m *machines) must(args ...string) {
	m.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		m.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// add makes a namespace and returns its name.
func (m *machines) add(name string) string {
	m.t.Helper()
	ns := m.prefix + name
	m.must("netns", "add", ns)
	m.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() }) // it may be gone
	m.must("-n", ns, "link", "set", "lo", "up")
	return ns
}

// link connects two namespaces by a cable, and returns the name of a's end. Without an address
// b's end belongs to the bridge.
func (m *machines) link(a, addrA, b, addrB string) string {
	m.t.Helper()
	m.made++
	endA, endB := fmt.Sprintf("c%da", m.made), fmt.Sprintf("c%db", m.made)
	m.try("-n", a, "link", "add", endA, "type", "veth", "peer", "name", endB, "netns", b)
	m.must("-n", a, "addr", "add", addrA, "dev", endA)
	m.must("-n", a, "link", "set", endA, "up")
	if addrB != "" {
		m.must("-n", b, "addr", "add", addrB, "dev", endB)
	} else {
		m.must("-n", b, "link", "set", endB, "master", "bridge")
	}
	m.must("-n", b, "link", "set", endB, "up")
	return endA
}

// public adds a host to the public network.
func (m *machines) public(name string) string {
	m.t.Helper()
	ns := m.add(name)
	m.hosts++
	// Each is in a subnet of its own, as hosts on the internet are to each other.
	end := m.link(ns, fmt.Sprintf("11.22.33.%d/32", m.hosts), m.prefix+"net", "")
	m.must("-n", ns, "route", "add", "11.22.33.0/24", "dev", end)
	return ns
}

// office adds a host at 192.168.SUBNET.2 behind a router of its own, which gives each connection a port
// of the router's public address: its own or, with random, one that nobody can foretell.
func (m *machines) office(name string, subnet int, random bool) string {
	m.t.Helper()
	router := m.public(name + "-nat")
	ns := m.add(name)
	m.link(ns, fmt.Sprintf("192.168.%d.2/24", subnet), router, fmt.Sprintf("192.168.%d.1/24", subnet))
	m.must("-n", ns, "route", "add", "default", "via", fmt.Sprintf("192.168.%d.1", subnet))
	if err := within(router, func() error { return masquerade(random) }); err != nil {
		m.t.Skipf("this machine translates no addresses: %v", err)
	}
	return ns
}

// within runs f on a thread in a namespace. The thread ends with it.
func within(ns string, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		file, err := os.Open("/run/netns/" + ns)
		if err != nil {
			done <- err
			return
		}
		defer file.Close()
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter %s: %w", ns, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// masquerade makes this thread's namespace forward packets, rewrite the source of those that it
// sends on, and drop what comes for itself, as the routers of offices do. It tells the kernel itself, so
// that neither nft nor iptables is needed.
func masquerade(random bool) error {
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0); err != nil {
		return err
	}
	flags := uint32(0)
	if random {
		flags = 1 << 4 // NF_NAT_RANGE_PROTO_RANDOM_FULLY
	}
	nft := func(kind uint16) uint16 { return unix.NFNL_SUBSYS_NFTABLES<<8 | kind }
	name := func(kind uint16, s string) []byte { return attr(kind, append([]byte(s), 0)) }
	number := func(kind uint16, n uint32) []byte { return attr(kind, encoding.BigEndian.AppendUint32(nil, n)) }
	const create = unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE
	masq := attr(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, name(unix.NFTA_EXPR_NAME, "masq"),
		attr(unix.NFTA_EXPR_DATA|unix.NLA_F_NESTED, number(unix.NFTA_MASQ_FLAGS, flags)))
	chain := func(s, kind string, hook, priority, policy uint32) []byte {
		return message(nft(unix.NFT_MSG_NEWCHAIN), create, unix.NFPROTO_IPV4,
			name(unix.NFTA_CHAIN_TABLE, "nat"), name(unix.NFTA_CHAIN_NAME, s), name(unix.NFTA_CHAIN_TYPE, kind),
			attr(unix.NFTA_CHAIN_HOOK|unix.NLA_F_NESTED, number(unix.NFTA_HOOK_HOOKNUM, hook), number(unix.NFTA_HOOK_PRIORITY, priority)),
			number(unix.NFTA_CHAIN_POLICY, policy))
	}
	var batch []byte
	batch = append(batch, message(unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, 0)...)
	batch = append(batch, message(nft(unix.NFT_MSG_NEWTABLE), create, unix.NFPROTO_IPV4, name(unix.NFTA_TABLE_NAME, "nat"))...)
	batch = append(batch, chain("in", "filter", 1, 0, 0)...) // drops
	batch = append(batch, chain("out", "nat", 4, 100, 1)...) // accepts
	batch = append(batch, message(nft(unix.NFT_MSG_NEWRULE), create|unix.NLM_F_APPEND, unix.NFPROTO_IPV4,
		name(unix.NFTA_RULE_TABLE, "nat"), name(unix.NFTA_RULE_CHAIN, "out"),
		attr(unix.NFTA_RULE_EXPRESSIONS|unix.NLA_F_NESTED, masq))...)
	batch = append(batch, message(unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, 0)...)
	return tellKernel(batch, 4)
}

// tellKernel sends messages to netfilter, of which so many are acknowledged.
func tellKernel(messages []byte, acks int) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		return err
	}
	if err := unix.Sendto(fd, messages, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 1<<14)
	for acks > 0 {
		n, _, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return fmt.Errorf("no answer from netfilter: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.NLMSG_HDRLEN+4; {
			size := int(encoding.NativeEndian.Uint32(b))
			if size < unix.NLMSG_HDRLEN+4 || size > len(b) {
				return errors.New("netfilter answers in fragments")
			}
			if encoding.NativeEndian.Uint16(b[4:]) == unix.NLMSG_ERROR {
				if code := int32(encoding.NativeEndian.Uint32(b[unix.NLMSG_HDRLEN:])); code != 0 {
					return fmt.Errorf("netfilter: %w", unix.Errno(-code))
				}
				acks--
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
	return nil
}

// message is a netlink message to netfilter: a header, the family, and attributes.
func message(kind, flags uint16, family byte, attrs ...[]byte) []byte {
	res := uint16(0)
	if kind == unix.NFNL_MSG_BATCH_BEGIN || kind == unix.NFNL_MSG_BATCH_END {
		res = unix.NFNL_SUBSYS_NFTABLES
	}
	body := encoding.BigEndian.AppendUint16([]byte{family, unix.NFNETLINK_V0}, res)
	for _, a := range attrs {
		body = append(body, a...)
	}
	b := encoding.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = encoding.NativeEndian.AppendUint16(b, kind)
	b = encoding.NativeEndian.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...) // sequence number and port: whoever has the socket
	return append(b, body...)
}

// attr is a netlink attribute, padded.
func attr(kind uint16, data ...[]byte) []byte {
	b := make([]byte, 4)
	for _, d := range data {
		b = append(b, d...)
	}
	encoding.NativeEndian.PutUint16(b, uint16(len(b)))
	encoding.NativeEndian.PutUint16(b[2:], kind)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}
