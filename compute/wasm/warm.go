package wasm

import "context"

// take returns an instance for the run under way: of a reactor the one that waits,
// if there is one. It is never nil, so that what went wrong can be explained.
func (s *sandbox) take(ctx context.Context, l *loaded, limit uint64) (*instance, error) {
	s.runs++
	l.used = s.runs
	if i := l.warm; i != nil {
		l.warm = nil
		i.memory.begin(i.ready, limit)
		if i.ready > limit {
			return i, failure(KindMemory, "it needs %d MiB once it is ready; the limit is %d MiB", mebibytes(i.ready), limit>>20)
		}
		return i, nil
	}
	run := s.guest
	if l.reactor {
		s.guest = newPreparation(run.log)
	}
	i, err := s.newInstance(ctx, l, limit)
	if err != nil && l.reactor {
		if err = s.guest.explain(err, &i.memory); err == nil {
			err = failure(KindExit, "it ended before it could be called")
		}
	}
	s.guest = run
	return i, err
}

// keep has an instance wait for the next run, and drops others that have waited
// longest while all take too much memory.
func (s *sandbox) keep(ctx context.Context, l *loaded, i *instance) error {
	l.warm = i
	for {
		total, oldest := uint64(0), l
		for _, other := range s.modules {
			if other.warm != nil {
				total += other.warm.ready
				if other.used < oldest.used {
					oldest = other
				}
			}
		}
		if total <= maxWarm {
			return nil
		}
		if err := oldest.cool(ctx); err != nil {
			return err
		}
	}
}

// cool drops the instance that waits.
func (l *loaded) cool(ctx context.Context) error {
	i := l.warm
	if i == nil {
		return nil
	}
	l.warm = nil
	return i.close(ctx)
}
