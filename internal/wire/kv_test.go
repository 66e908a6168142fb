package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/chorus-net/chorus/internal/rpc"
	"github.com/chorus-net/chorus/internal/wire/pb"
	"github.com/chorus-net/chorus/store"
)

// kvCodec is one kind of message: written, read, and written again.
type kvCodec struct {
	name   string
	sample any
	golden string
	append func(any) []byte
	parse  func([]byte) (any, error)
}

// kvMessage ties a pair of conversions to a sample with every field in use and
// the bytes that it may not stop being.
func kvMessage[T any](name string, sample T, golden string, app func([]byte, *T) []byte, parse func([]byte) (T, error)) kvCodec {
	return kvCodec{
		name: name, sample: sample, golden: golden,
		append: func(x any) []byte { m := x.(T); return app(nil, &m) },
		parse:  func(b []byte) (any, error) { return parse(b) },
	}
}

// kvConfig is a configuration of one voter that moves to another.
var kvConfig = store.Config{
	Epoch:  3,
	Voters: []store.Voter{{Peer: "a", Incarnation: 1}},
	Next:   []store.Voter{{Peer: "b", Incarnation: 2}},
}

const kvConfigHex = "01" + "0000000000000003" + "01" + "0161" + "0000000000000001" + "01" + "0162" + "0000000000000002"

func kvCodecs() []kvCodec {
	target := store.Target{Incarnation: 7, Push: kvConfig}
	version := store.Version{Clock: 5, Writer: 6}
	entries := []store.Entry{{Key: "ns/k", Version: version, Expires: 8, Deleted: true}}
	casBallot := store.CASBallot{Epoch: 3, Ballot: store.Ballot{Counter: 4, Proposer: 5}}
	casState := store.CASState{Version: 6, Dot: store.Dot{Actor: 7, Counter: 8}, Value: []byte("value")}
	infos := []store.ShardInfo{
		{Shard: 65535, Config: kvConfig, Synced: kvConfig.Voters, Fingerprint: store.Fingerprint{Hi: 1, Lo: 2, Count: 3}, Epoch: 9},
		{Shard: 1},
	}
	return []kvCodec{
		kvMessage("write request", store.WriteRequest{Target: target, Repair: true, Record: []byte("record")},
			"090700000000000000121f"+kvConfigHex+"180122067265636f7264", AppendWriteRequest, ParseWriteRequest),
		kvMessage("write reply", store.WriteReply{Status: store.StatusSuperseded, Synced: true, Version: version, Config: kvConfig},
			"080110011a12090500000000000000110600000000000000221f"+kvConfigHex, AppendWriteReply, ParseWriteReply),
		kvMessage("watch request", WatchRequest{Incarnation: 7, Run: 1, Position: 2, Shards: ShardSet{3}, Prefix: "p", Limit: 4, Wait: 5 * time.Millisecond},
			"09070000000000000011010000000000000018022201032a017030043805", AppendWatchRequest, ParseWatchRequest),
		kvMessage("watch reply", WatchReply{Run: 1, Position: 2, Gap: true, Lost: ShardSet{4}, Changes: []Change{{Shard: 65535, Entry: entries[0]}}, Abreast: 6 * time.Millisecond},
			"090100000000000000100218012201042a03ffff03321e0a046e732f6b1212090500000000000000110600000000000000180820013806", AppendWatchReply, ParseWatchReply),
		kvMessage("writes", []Write{{Shard: 65535, Epoch: 3, Request: store.WriteRequest{Target: target, Repair: true, Record: []byte("record")}}},
			"0a3c08ffff0310031a34090700000000000000121f"+kvConfigHex+"180122067265636f7264", func(b []byte, m *[]Write) []byte { return AppendWrites(b, *m) }, ParseWrites),
		kvMessage("write results", []WriteResult{
			{Reply: store.WriteReply{Status: store.StatusSuperseded, Synced: true, Version: version, Config: kvConfig}},
			{Err: &rpc.Error{Code: rpc.CodeBusy, Message: "later", Detail: []byte{1}}},
		}, "0a3b0a39080110011a12090500000000000000110600000000000000221f"+kvConfigHex+"0a1212100a046275737912056c617465721a0101", func(b []byte, m *[]WriteResult) []byte { return AppendWriteResults(b, *m) }, ParseWriteResults),
		kvMessage("read request", store.ReadRequest{Target: target, Brief: true, Namespace: "ns", Key: "k"},
			"090700000000000000121f"+kvConfigHex+"180122026e732a016b", AppendReadRequest, ParseReadRequest),
		kvMessage("read reply", store.ReadReply{Status: store.StatusReferral, Version: version, Record: []byte("record"), Config: kvConfig},
			"080212120905000000000000001106000000000000001a067265636f7264221f"+kvConfigHex, AppendReadReply, ParseReadReply),
		kvMessage("scan request", store.ScanRequest{Target: target, Prefix: "ns/", After: "ns/a", Limit: 9},
			"090700000000000000121f"+kvConfigHex+"1a036e732f22046e732f612809", AppendScanRequest, ParseScanRequest),
		kvMessage("scan reply", store.ScanReply{Status: store.StatusReferral, Entries: entries, More: true, Config: kvConfig},
			"0802121e0a046e732f6b1212090500000000000000110600000000000000180820011801221f"+kvConfigHex, AppendScanReply, ParseScanReply),
		kvMessage("sync request", store.SyncRequest{Target: target, After: "ns/a", Limit: 9},
			"090700000000000000121f"+kvConfigHex+"1a046e732f612009", AppendSyncRequest, ParseSyncRequest),
		kvMessage("sync reply", store.SyncReply{
			Status: store.StatusReferral, Fingerprint: store.Fingerprint{Hi: 1, Lo: 2, Count: 3}, Entries: entries, More: true, Config: kvConfig,
		}, "0802121e0a046e732f6b1212090500000000000000110600000000000000180820011801221f"+kvConfigHex+"2a18000000000000000100000000000000020000000000000003", AppendSyncReply, ParseSyncReply),
		kvMessage("sync request of paths", store.SyncRequest{Target: target, Paths: []uint64{1, 2}}, "090700000000000000121f"+kvConfigHex+"2a1001000000000000000200000000000000", AppendSyncRequest, ParseSyncRequest),
		kvMessage("nodes request", store.NodesRequest{Target: target, Nodes: []store.Prefix{0, 0xf000000000000001}}, "090700000000000000121f"+kvConfigHex+"1a10000000000000000001000000000000f0", AppendNodesRequest, ParseNodesRequest),
		kvMessage("nodes reply", store.NodesReply{
			Status: store.StatusReferral, Nodes: []store.Node{{Items: []store.Item{{Path: 1, Sum: 2}}}, {Sums: []uint64{3, 4}}, {}}, Config: kvConfig,
		}, "080212120a1000000000000000010000000000000002121212100000000000000003000000000000000412001a1f"+kvConfigHex, AppendNodesReply, ParseNodesReply),
		kvMessage("horizon request", store.HorizonRequest{Target: target, Horizon: 8, Confirm: true, From: store.Voter{Peer: "a", Incarnation: 1}},
			"090700000000000000121f"+kvConfigHex+"1908000000000000002001"+"2a0c0a0161110100000000000000", AppendHorizonRequest, ParseHorizonRequest),
		kvMessage("forgotten", Forgotten{
			Voters: []store.Voter{{Peer: "a", Incarnation: 1}},
			Forces: []Force{{Voter: store.Voter{Peer: "a", Incarnation: 1}, By: "b", At: time.UnixMilli(3), Done: true}},
		}, "0a0c0a0161110100000000000000"+"12150a0c0a0161110100000000000000"+"120162"+"1806"+"2001", AppendForgotten, ParseForgotten),
		kvMessage("horizon reply", store.HorizonReply{Status: store.StatusReferral, Config: kvConfig},
			"0802121f"+kvConfigHex, AppendHorizonReply, ParseHorizonReply),
		kvMessage("fetch request", store.FetchRequest{Target: target, Keys: []string{"ns/k", "l"}},
			"090700000000000000121f"+kvConfigHex+"1a046e732f6b1a016c", AppendFetchRequest, ParseFetchRequest),
		kvMessage("fetch reply", store.FetchReply{Status: store.StatusReferral, Records: [][]byte{[]byte("one"), []byte("two")}, Done: 3, Config: kvConfig},
			"080212036f6e65120374776f1803221f"+kvConfigHex, AppendFetchReply, ParseFetchReply),
		kvMessage("proposal", store.Proposal{Base: kvConfig, Ballot: store.Ballot{Counter: 5, Proposer: 6}, Value: kvConfig.Settle()},
			"0a1f"+kvConfigHex+"120b08051106000000000000001a15010000000000000004010162000000000000000200", AppendProposal, ParseProposal),
		kvMessage("vote", store.Vote{
			Status: store.StatusOutbid, Promised: store.Ballot{Counter: 5, Proposer: 6}, Accepted: store.Ballot{Counter: 3, Proposer: 4},
			Value: kvConfig.Abort(), Config: kvConfig,
		}, "0806120b08051106000000000000001a0b080311040000000000000022150100000000000000040101610000000000000001002a1f"+kvConfigHex, AppendVote, ParseVote),
		kvMessage("register request", store.CASRequest{Target: target, Namespace: store.RegisterNamespace, Key: "ns/k", Ballot: casBallot, Accept: true, State: casState},
			"090700000000000000121f"+kvConfigHex+"1a046e732f6b220d080310041905000000000000002801321408061107000000000000001808220576616c7565", AppendCASRequest, ParseCASRequest),
		kvMessage("register reply", store.CASReply{Status: store.StatusReferral, Promised: casBallot, Accepted: casBallot, State: casState, Config: kvConfig},
			"0802120d080310041905000000000000001a0d08031004190500000000000000221408061107000000000000001808220576616c75652a1f"+kvConfigHex, AppendCASReply, ParseCASReply),
		kvMessage("shard infos", infos, "0a4f08ffff03121f"+kvConfigHex+"1a0c0a0161110100000000000000221800000000000000010000000000000002000000000000000328090a020801",
			func(b []byte, m *[]store.ShardInfo) []byte { return AppendShardInfos(b, *m) }, ParseShardInfos),
	}
}

func TestKVGolden(t *testing.T) {
	for _, m := range kvCodecs() {
		b := m.append(m.sample)
		if got := hex.EncodeToString(b); got != m.golden {
			t.Errorf("%s is written as\n%s, want\n%s", m.name, got, m.golden)
		}
		back, err := m.parse(b)
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		if diff := cmp.Diff(m.sample, back); diff != "" {
			t.Errorf("%s (-sent +received):\n%s", m.name, diff)
		}
	}
}

// The zero value of a message travels, too, where it means something.
func TestKVZero(t *testing.T) {
	for _, m := range kvCodecs() {
		empty, err := m.parse(nil)
		switch m.name {
		case "read request", "scan request", "nodes request", "watch request":
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("an empty %s: %v", m.name, err)
			}
		default:
			if err != nil || len(m.append(empty)) != 0 {
				t.Errorf("an empty %s reads as %+v, %v", m.name, empty, err)
			}
		}
	}
}

func TestKVBounds(t *testing.T) {
	long := strings.Repeat("k", store.MaxKey+1)
	keys := make([]string, store.MaxPage+1)
	for i := range keys {
		keys[i] = "k"
	}
	many := &pb.ShardInfos{Infos: make([]*pb.ShardInfo, store.MaxInfos+1)}
	for i := range many.Infos {
		many.Infos[i] = &pb.ShardInfo{}
	}
	voters := make([]*pb.Voter, store.MaxVoters+1)
	for i := range voters {
		voters[i] = &pb.Voter{}
	}
	broken := []byte("not a configuration")
	for _, tt := range []struct {
		name string
		m    message
	}{
		{"write request", &pb.WriteRequest{Push: broken}},
		{"write reply", &pb.WriteReply{Config: broken}},
		{"write reply", &pb.WriteReply{Status: 250}},
		{"write reply", &pb.WriteReply{Status: 256}}, // must not wrap around to a status
		{"writes", &pb.Writes{Items: make([]*pb.WriteItem, MaxWrites+1)}},
		{"writes", &pb.Writes{Items: []*pb.WriteItem{{}}}},
		{"writes", &pb.Writes{Items: []*pb.WriteItem{{Shard: store.MaxShards, Request: &pb.WriteRequest{}}}}},
		{"writes", &pb.Writes{Items: []*pb.WriteItem{{Request: &pb.WriteRequest{Push: broken}}}}},
		{"write results", &pb.WriteResults{Results: make([]*pb.WriteResult, MaxWrites+1)}},
		{"write results", &pb.WriteResults{Results: []*pb.WriteResult{{}}}},
		{"write results", &pb.WriteResults{Results: []*pb.WriteResult{{Reply: &pb.WriteReply{Status: 250}}}}},
		{"read request", &pb.ReadRequest{Key: long}},
		{"read request", &pb.ReadRequest{Namespace: "a/b", Key: "k"}},
		{"read request", &pb.ReadRequest{Key: "k", Push: broken}},
		{"read reply", &pb.ReadReply{Status: 250}},
		{"scan request", &pb.ScanRequest{Limit: store.MaxPage + 1}},
		{"scan request", &pb.ScanRequest{Limit: 1, Prefix: long}},
		{"scan request", &pb.ScanRequest{Limit: 1, After: long}},
		{"sync request", &pb.SyncRequest{Limit: store.MaxPageBytes + 1}},
		{"sync request", &pb.SyncRequest{After: long}},
		{"sync reply", &pb.Page{Fingerprint: broken}},
		{"sync request", &pb.SyncRequest{Paths: make([]uint64, store.MaxPaths+1)}},
		{"nodes request", &pb.NodesRequest{}},
		{"nodes request", &pb.NodesRequest{Nodes: make([]uint64, store.MaxNodes+1)}},
		{"nodes request", &pb.NodesRequest{Nodes: []uint64{0xf1<<56 | 1}}},
		{"watch reply", &pb.WatchReply{AbreastMs: maxAbreast + 1}},
		{"horizon request", &pb.HorizonRequest{From: &pb.Voter{Peer: make([]byte, store.MaxPeerID+1)}}},
		{"forgotten", &pb.Forgotten{Voters: []*pb.Voter{{Peer: make([]byte, store.MaxPeerID+1)}}}},
		{"forgotten", &pb.Forgotten{Forces: []*pb.Force{{}}}},
		{"forgotten", &pb.Forgotten{Forces: []*pb.Force{{Voter: &pb.Voter{Peer: []byte("a")}, By: make([]byte, store.MaxPeerID+1)}}}},
		{"forgotten", &pb.Forgotten{Voters: make([]*pb.Voter, MaxForgotten+1)}},
		{"horizon reply", &pb.HorizonReply{Status: 250}},
		{"nodes reply", &pb.NodesReply{Nodes: []*pb.Node{{Items: make([]byte, 15)}}}},
		{"nodes reply", &pb.NodesReply{Nodes: []*pb.Node{{Sums: make([]byte, 9)}}}},
		{"fetch request", &pb.FetchRequest{Keys: keys}},
		{"fetch request", &pb.FetchRequest{Keys: []string{long}}},
		{"fetch reply", &pb.FetchReply{Done: store.MaxPage + 1}},
		{"proposal", &pb.Proposal{Base: broken}},
		{"proposal", &pb.Proposal{Value: broken}},
		{"vote", &pb.Vote{Value: broken}},
		{"vote", &pb.Vote{Config: broken}},
		{"register request", &pb.CASRequest{Push: broken}},
		{"register request", &pb.CASRequest{State: &pb.CASState{}}},
		{"register reply", &pb.CASReply{Status: 250}},
		{"register reply", &pb.CASReply{Config: broken}},
		{"shard infos", many},
		{"shard infos", &pb.ShardInfos{Infos: []*pb.ShardInfo{{Shard: store.MaxShards}}}},
		{"shard infos", &pb.ShardInfos{Infos: []*pb.ShardInfo{{Synced: voters}}}},
		{"shard infos", &pb.ShardInfos{Infos: []*pb.ShardInfo{{Synced: []*pb.Voter{{Peer: make([]byte, store.MaxPeerID+1)}}}}}},
		{"shard infos", &pb.ShardInfos{Infos: []*pb.ShardInfo{{Fingerprint: broken}}}},
	} {
		b := appendMessage(nil, tt.m)
		for _, m := range kvCodecs() {
			if m.name != tt.name {
				continue
			}
			if back, err := m.parse(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s %v reads as %+v, %v", tt.name, tt.m, back, err)
			}
		}
	}
}

// A record is not copied on its way in, and appended once on its way out.
func TestKVRecordsAlias(t *testing.T) {
	record := []byte("a record's bytes")
	b := AppendWriteRequest(nil, &store.WriteRequest{Record: record})
	w, err := ParseWriteRequest(b)
	if err != nil || !aliases(b, w.Record) {
		t.Errorf("write request copies its record: %v", err)
	}
	b = AppendReadReply(nil, &store.ReadReply{Record: record})
	r, err := ParseReadReply(b)
	if err != nil || !aliases(b, r.Record) {
		t.Errorf("read reply copies its record: %v", err)
	}
}

// aliases reports whether part lies in whole.
func aliases(whole, part []byte) bool {
	i := bytes.Index(whole, part)
	return i >= 0 && &whole[i] == &part[0]
}

// What was read and is written again reads as the same.
func FuzzKV(f *testing.F) {
	codecs := kvCodecs()
	for i, m := range codecs {
		f.Add(uint8(i), m.append(m.sample))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		m := codecs[int(which)%len(codecs)]
		once, err := m.parse(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s: not ErrMalformed: %v", m.name, err)
			}
			return
		}
		twice, err := m.parse(m.append(once))
		if err != nil {
			t.Fatalf("%s: what was read does not read again: %v", m.name, err)
		}
		if a, b := fmt.Sprintf("%+v", once), fmt.Sprintf("%+v", twice); a != b {
			t.Fatalf("%s reads as\n%s, then as\n%s", m.name, a, b)
		}
	})
}

func BenchmarkKV(b *testing.B) {
	record := make([]byte, 190)
	b.Run("write", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = AppendWriteRequest(buf[:0], &store.WriteRequest{Target: store.Target{Incarnation: 7}, Record: record})
			if _, err := ParseWriteRequest(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("reply", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		for b.Loop() {
			buf = AppendWriteReply(buf[:0], &store.WriteReply{Synced: true})
			if _, err := ParseWriteReply(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
