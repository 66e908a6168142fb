package overlay

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/chorus-net/chorus/overlay/client"
	"github.com/chorus-net/chorus/store"
)

// The settings of namespace NAME are the record "_ns/NAME", which peers read
// when they first need them and keep for a while.
const (
	settingsSpace = "_ns"
	// settingsFresh is how long a peer goes by settings that it has read. It then
	// reads them again, beside the calls that go by the old ones.
	settingsFresh = 5 * time.Second
	// maxSettings bounds the namespaces whose settings a peer keeps.
	maxSettings = 4096
	// settingsPatience is how long an operation that has all else waits for them.
	settingsPatience = time.Second
	maxTTL           = 100 * 365 * 24 * time.Hour
	// maxNamespace bounds the name of a namespace that has settings, in bytes.
	maxNamespace = store.MaxKey / 2
)

// settingsJSON is the value of a record of settings.
type settingsJSON struct {
	Format int   `json:"format"`
	W      Level `json:"w,omitempty"`
	R      Level `json:"r,omitempty"`
	TTLms  int64 `json:"ttl_ms,omitempty"`
	// N is what the register of the namespace has decided, told here too so that
	// peers need not read that. 0: nothing, when this was written.
	N int `json:"n,omitempty"`
}

// namespaces keeps the settings of namespaces that this peer uses.
type namespaces struct {
	n     *Node
	fresh time.Duration // settingsFresh, but for tests

	mu   sync.Mutex
	kept map[string]*keptSettings
}

// keptSettings are settings as they were read at a time.
type keptSettings struct {
	Namespace
	at      time.Time
	reading bool // they are being read again
}

func newNamespaces(n *Node) *namespaces {
	return &namespaces{n: n, fresh: settingsFresh, kept: make(map[string]*keptSettings)}
}

// of returns the settings of a namespace. Only the first call waits for them to
// be read.
func (s *namespaces) of(ctx context.Context, name string) (Namespace, error) {
	if plain(name) {
		return Namespace{}, nil
	}
	if ns, known := s.known(name); known {
		return ns, nil
	}
	return s.read(ctx, name)
}

// plain reports whether a namespace has no settings of its own.
func plain(name string) bool {
	return name == "" || strings.HasPrefix(name, "_") || store.IsOwned(name) || len(name) > maxNamespace
}

// known returns settings that are kept, and has them read again if they are old.
func (s *namespaces) known(name string) (Namespace, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.kept[name]
	if k == nil {
		return Namespace{}, false
	}
	if time.Since(k.at) > s.fresh && !k.reading {
		k.reading = s.n.group.start(func() {
			if _, err := s.read(s.n.ctx, name); err != nil {
				s.n.log.Debug("read settings", "namespace", name, "err", err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			k.reading = false
		})
	}
	return k.Namespace, true
}

// soon is of for those who can do without: the first call does not wait for long.
func (s *namespaces) soon(ctx context.Context, name string) (Namespace, error) {
	if plain(name) {
		return Namespace{}, nil
	}
	if ns, known := s.known(name); known { // a context of its own costs more than the look
		return ns, nil
	}
	ctx, cancel := context.WithTimeout(ctx, settingsPatience)
	defer cancel()
	return s.read(ctx, name)
}

// read reads the settings of a namespace, as a quorum has them, and keeps them.
func (s *namespaces) read(ctx context.Context, name string) (Namespace, error) {
	ns := Namespace{Name: name, Class: "eventual", Replicas: s.n.ring.Replicas}
	rec, err := s.n.lookUp(ctx, settingsSpace, name, store.LevelQuorum)
	switch {
	case err == nil:
		if err := parseSettings(rec, s.n.ring.Shards, &ns); err != nil {
			return Namespace{}, err
		}
	case !errors.Is(err, ErrNotFound):
		return Namespace{}, fmt.Errorf("settings of namespace %q: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, own := range [2]bool{false, true} { // any will do: what is needed is read again
		for other, k := range s.kept {
			if len(s.kept) < maxSettings {
				break
			}
			if own || k.Replicas == s.n.ring.Replicas {
				delete(s.kept, other)
			}
		}
	}
	k := s.kept[name]
	if k == nil {
		k = new(keptSettings)
		s.kept[name] = k
	}
	if k.Name == "" || k.Version < ns.Version { // of two that read at once the older may come last
		if k.Replicas != 0 && ns.Replicas == s.n.ring.Replicas {
			ns.Replicas = k.Replicas // the register says so
		}
		k.Namespace = ns
	}
	k.at = time.Now()
	return k.Namespace, nil
}

// own returns the N of a namespace that is fenced off; 0 if it is none of its own yet.
func (s *namespaces) own(ctx context.Context, name string) (int, error) {
	s.mu.Lock()
	if k := s.kept[name]; k != nil && k.Replicas != s.n.ring.Replicas {
		defer s.mu.Unlock()
		return k.Replicas, nil
	}
	s.mu.Unlock()
	has, err := s.decided(ctx, name)
	return has.N, err
}

// keepCopies takes in what the register of a namespace has decided.
func (s *namespaces) keepCopies(name string, copies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.kept[name]; k != nil {
		k.Replicas = copies
	}
}

// parseSettings reads a record of settings into ns, in a ring of that many shards.
func parseSettings(rec Record, shards int, ns *Namespace) error {
	var doc settingsJSON
	err := json.Unmarshal(rec.Value, &doc)
	if err == nil && doc.Format != 1 {
		err = fmt.Errorf("format %d is of another release", doc.Format)
	}
	if err == nil {
		ns.W, ns.R, ns.TTL, ns.Version = doc.W, doc.R, time.Duration(doc.TTLms)*time.Millisecond, rec.Version
		if doc.N != 0 {
			ns.Replicas = doc.N
		}
		if err = checkSettings(*ns); err == nil {
			err = store.CheckBank(doc.N, shards)
		}
	}
	if err != nil {
		return fmt.Errorf("settings of namespace %q: %w", ns.Name, err)
	}
	return nil
}

// checkSettings refuses settings that make no sense.
func checkSettings(ns Namespace) error {
	if _, err := store.ParseLevel(string(ns.W)); err != nil {
		return fmt.Errorf("w: %w", err)
	}
	if _, err := store.ParseLevel(string(ns.R)); err != nil {
		return fmt.Errorf("r: %w", err)
	}
	if ns.Replicas < 0 {
		return fmt.Errorf("%d replicas are not within 1 to %d", ns.Replicas, store.MaxN)
	}
	if ns.TTL < 0 || ns.TTL > maxTTL {
		return fmt.Errorf("a time to live of %v is not within 0 and %v", ns.TTL, maxTTL)
	}
	return nil
}

// checkNamespace refuses what is no name of a namespace.
func checkNamespace(name string) error {
	why := ""
	switch {
	case name == "":
		why = "keys without a namespace have the settings of the ring"
	case strings.Contains(name, "/"):
		why = "it contains a '/'"
	case len(name) > maxNamespace:
		why = fmt.Sprintf("%d bytes, the limit is %d", len(name), maxNamespace)
	case !utf8.ValidString(name):
		why = "it is not valid UTF-8"
	case strings.HasPrefix(name, "_"):
		why = "namespaces that begin with '_' belong to the system"
	case store.IsOwned(name):
		why = "an owned namespace has no settings, which nothing would sign, and is granted to no module"
	default:
		return nil
	}
	return &client.Error{Code: client.CodeBadKey, Message: fmt.Sprintf("namespace %.40q: %s", name, why)}
}

// Namespace returns the settings of a namespace, as a quorum has them.
func (n *Node) Namespace(ctx context.Context, name string) (Namespace, error) {
	if n.guest != nil {
		return n.guest.client.Namespace(ctx, name)
	}
	if err := checkNamespace(name); err != nil {
		return Namespace{}, err
	}
	ns, err := n.namespaces.read(ctx, name)
	if err != nil {
		return Namespace{}, err
	}
	has, err := n.namespaces.decided(ctx, name)
	ns.Replicas = cmp.Or(has.N, n.ring.Replicas)
	return ns, err
}

// SetNamespace changes the settings of a namespace: W, R and TTL. They are what
// calls on its keys do that do not say otherwise; other peers go by them within
// 5 s. Records that were put before keep their time.
//
// Replicas, unless it is 0, gives the namespace an N of its own, up to store.MaxN,
// before the first key is put: later, and when it has one, another is refused with
// the code replicas-fixed. All peers go by it when SetNamespace returns.
func (n *Node) SetNamespace(ctx context.Context, ns Namespace) (Receipt, error) {
	if n.guest != nil {
		return n.guest.client.SetNamespace(ctx, ns)
	}
	if err := checkNamespace(ns.Name); err != nil {
		return Receipt{}, err
	}
	if err := checkSettings(ns); err != nil {
		return Receipt{}, usage("set namespace %q: %w", ns.Name, err)
	}
	has, err := n.namespaces.decided(ctx, ns.Name)
	if err != nil {
		return Receipt{}, err
	}
	if has.N = cmp.Or(has.N, n.ring.Replicas); ns.Replicas != 0 && ns.Replicas != has.N {
		if err := n.setCopies(ctx, ns.Name, ns.Replicas); err != nil {
			return Receipt{}, err
		}
		has.N = ns.Replicas
	}
	doc := settingsJSON{Format: 1, W: ns.W, R: ns.R, TTLms: ns.TTL.Milliseconds()}
	if has.N != n.ring.Replicas {
		doc.N = has.N
	}
	value, err := json.Marshal(doc)
	if err != nil {
		return Receipt{}, err
	}
	rec := store.Record{Namespace: settingsSpace, Key: ns.Name, Position: store.Route(settingsSpace, ns.Name), Value: value}
	r, err := n.write(ctx, "", rec, store.LevelQuorum)
	if err != nil {
		return Receipt{}, err
	}
	r.Key = ns.Name
	_, err = n.namespaces.read(ctx, ns.Name)
	return r, err
}

// Namespaces returns up to limit namespaces that have settings, in the order of
// their names, from behind after on. A limit of 0 means 100, the most is 1,000.
func (n *Node) Namespaces(ctx context.Context, after string, limit int) ([]Namespace, error) {
	if n.guest != nil {
		return n.guest.client.Namespaces(ctx, after, limit)
	}
	limit = min(cmp.Or(max(limit, 0), 100), 1000)
	prefix := settingsSpace + "/"
	keys := n.newMerge(prefix, prefix+after, sparePage).in(0)
	list := []Namespace{}
	for len(list) < limit {
		e, ok, err := keys.next(ctx)
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		ns, err := n.namespaces.read(ctx, strings.TrimPrefix(e.Key, prefix))
		if err != nil {
			return nil, err
		}
		list = append(list, ns)
	}
	return list, nil
}

// writeOptions returns the level of a write to a key and when what it writes
// expires, in Unix milliseconds: what the call says, or else the namespace.
func (n *Node) writeOptions(ctx context.Context, ns string, o client.PutOptions) (level store.Level, expires int64, err error) {
	if o.TTL < 0 {
		return 0, 0, usage("a time to live of %v is negative", o.TTL)
	}
	if o.W == "" || o.TTL == 0 && !o.Forever {
		s, err := n.namespaces.of(ctx, ns)
		if err != nil {
			return 0, 0, err
		}
		o.W = cmp.Or(o.W, s.W)
		if !o.Forever {
			o.TTL = cmp.Or(o.TTL, s.TTL)
		}
	}
	if level, err = store.ParseLevel(string(o.W)); err != nil {
		return 0, 0, usage("%w", err)
	}
	if o.TTL > 0 {
		expires = time.Now().Add(o.TTL).UnixMilli()
	}
	return level, expires, nil
}

// readLevel returns the level of a read of a key.
func (n *Node) readLevel(ctx context.Context, ns string, o client.GetOptions) (store.Level, error) {
	if o.R == "" {
		s, err := n.namespaces.of(ctx, ns)
		if err != nil {
			return 0, err
		}
		o.R = s.R
	}
	level, err := store.ParseLevel(string(o.R))
	if err != nil {
		return 0, usage("%w", err)
	}
	return level, nil
}
