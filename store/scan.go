package store

import "strings"

// Scan is the machine of one quorum scan: a page of a shard's keys, merged from
// the pages of R replicas. It is driven like Read.
type Scan struct {
	Asker
	req   ScanRequest
	pages [2 * MaxVoters][]Entry
	more  Set
}

// Start begins a scan under c at level l. Of the request, Prefix, After and
// Limit count.
func (s *Scan) Start(c Config, l Level, req ScanRequest, rank Rank) Step {
	*s = Scan{req: req}
	s.rank, s.level = rank, l
	return s.settle(s.restart(c))
}

// Reply takes in the answer of member i.
func (s *Scan) Reply(round uint32, i int, r ScanReply) Step {
	switch {
	case s.late(round, i):
		return s.idle()
	case r.Status != StatusOK:
		return s.replace(i, r.Status, r.Config)
	case !s.valid(r):
		return s.Fail(round, i)
	}
	s.acks |= bit(i)
	s.pages[i] = r.Entries
	s.more &^= bit(i)
	if r.More {
		s.more |= bit(i)
	}
	return s.settle(Step{})
}

// valid reports whether a page is one of those that were asked for.
func (s *Scan) valid(r ScanReply) bool {
	if len(r.Entries) > s.req.Limit || r.More && len(r.Entries) == 0 {
		return false
	}
	after := s.req.After
	for _, e := range r.Entries {
		if e.Key <= after || !strings.HasPrefix(e.Key, s.req.Prefix) || e.Version.IsZero() {
			return false
		}
		after = e.Key
	}
	return true
}

// Fail tells that member i did not answer: the call failed.
func (s *Scan) Fail(round uint32, i int) Step {
	if s.late(round, i) {
		return s.idle()
	}
	return s.replace(i, statusEnd, Config{})
}

// Hedge asks spare replicas beside those that have not answered.
func (s *Scan) Hedge() Step {
	if s.ended {
		return s.idle()
	}
	return s.settle(s.fill(s.waiting()))
}

func (s *Scan) replace(i int, status Status, newer Config) Step {
	st, adopted := s.dismiss(i, status, newer)
	if adopted {
		st = s.restart(s.config)
	}
	return s.settle(st)
}

func (s *Scan) idle() Step {
	st := Step{Round: s.round}
	if s.ended {
		st.Outcome = Failed
		if s.tally.Reached(s.acks) {
			st.Outcome = Done
		}
	}
	return st
}

// Result returns the merged page once Done: of each key the newest entry, in
// order, tombstones and expired ones included. If more is set the shard may
// hold further keys after the last of the page; the page is then not empty.
func (s *Scan) Result() (page []Entry, more bool) {
	// A replica whose page was cut says nothing about keys after it.
	upto, cut := "", false
	for i := range (s.acks & s.more).All() {
		if last := s.pages[i][len(s.pages[i])-1].Key; !cut || last < upto {
			upto, cut = last, true
		}
	}
	var at [2 * MaxVoters]int
	for {
		first := -1
		for i := range s.acks.All() {
			if at[i] < len(s.pages[i]) && (first < 0 || s.pages[i][at[i]].Key < s.pages[first][at[first]].Key) {
				first = i
			}
		}
		if first < 0 {
			return page, cut
		}
		e := s.pages[first][at[first]]
		if cut && e.Key > upto {
			return page, true
		}
		if len(page) == s.req.Limit {
			return page, true
		}
		for i := range s.acks.All() {
			if at[i] < len(s.pages[i]) && s.pages[i][at[i]].Key == e.Key {
				if e.Version.Less(s.pages[i][at[i]].Version) {
					e = s.pages[i][at[i]]
				}
				at[i]++
			}
		}
		page = append(page, e)
	}
}
