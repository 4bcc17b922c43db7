package limits

import (
	"bytes"
	"context"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/admission"
	"github.com/imapgate/imapgate/internal/capture"
	"github.com/imapgate/imapgate/internal/keep"
)

// ContextSearcher is a session whose SEARCH can be stopped. A backend's session with this method
// gets SearchContext calls instead of Search calls, through wrappers as with [ContextFetcher]. The
// context ends when all clients that would get the answer have hung up, after
// [Options.SearchRunTimeout], and at [Limiter.Close]. SearchContext should then return soon, with
// any error: the client reads why, and never gets a shortened result.
type ContextSearcher interface {
	SearchContext(
		ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
		options *imap.SearchOptions,
	) (*imap.SearchData, error)
}

// Search runs the SEARCH when there is a slot for it, or answers it with the result of an equal
// one.
func (s *session) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	s.began = s.activity.begin(commandSearch)
	defer s.activity.finish()
	if err := s.checkTerms(criteria); err != nil {
		return nil, err
	}
	if key, ok := s.flightKey(kind, criteria, options); ok && !s.runsAtOnce() {
		return s.searchOnce(key, criteria, options)
	}
	return s.searchAlone(kind, criteria, options)
}

// SearchContext is Search for another Limiter around this one, as FetchContext is Fetch.
func (s *session) SearchContext(
	ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
	options *imap.SearchOptions,
) (*imap.SearchData, error) {
	s.presence.outer = ctx
	defer func() { s.presence.outer = nil }()
	return s.Search(kind, criteria, options)
}

// runsAtOnce reports whether a SEARCH waits for nothing, so not for an equal one either.
func (s *session) runsAtOnce() bool {
	return s.dryRun() || s.limits.Load().exempt
}

// checkTerms refuses a SEARCH with too many terms, or nested too deep.
func (s *session) checkTerms(criteria *imap.SearchCriteria) error {
	mostTerms, mostDepth := s.reached(maxSearchTerms), s.reached(maxSearchDepth)
	if mostTerms.value == 0 && mostDepth.value == 0 || s.limits.Load().exempt {
		return nil
	}
	terms, depth := countTerms(criteria)
	exceeds := func(n int, most refusal) bool {
		return most.value > 0 && int64(n) > most.value && s.refuse(s.searchEvent(0), most)
	}
	switch {
	case exceeds(terms, mostTerms):
		return ErrSearchTerms
	case exceeds(depth, mostDepth):
		return ErrSearchDepth
	default:
		return nil
	}
}

func (s *session) searchAlone(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	var turn turn
	defer s.exit(&turn)
	if err := s.enter(&turn, &s.limiter.searches); err != nil {
		return nil, err
	}
	return s.runSearch(kind, criteria, options, nil)
}

// runSearch runs a SEARCH that has a slot. part is nil if the SEARCH is not shared.
func (s *session) runSearch(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions, part *part,
) (*imap.SearchData, error) {
	s.startNotice(textRunning, s.began, time.Time{})
	defer s.notice.Stop()
	if !s.stopsSearch {
		return s.Session.Search(kind, criteria, options)
	}
	run := s.startRun(commandSearch, searchRunTimeout)
	defer run.close()
	stopWatch := s.watchSearch(run, part)
	defer stopWatch()
	data, err := keep.Search(run.ctx, s.Session, kind, criteria, options)
	if stopped := run.stopped(); stopped != nil {
		return nil, stopped
	}
	return data, err
}

// watchSearch stops the SEARCH when all clients that want its answer are gone.
func (s *session) watchSearch(run *run, part *part) (stop func()) {
	if part == nil {
		return s.watch(run.clientGone)
	}
	abandoned, over := part.Abandoned(), make(chan struct{})
	go func() {
		select {
		case <-abandoned:
			run.clientGone()
		case <-over:
		}
	}()
	stopWatch := s.watch(part.Withdraw)
	return func() {
		stopWatch()
		close(over)
	}
}

// part is a session's part in a SEARCH that equal ones may share.
type part = admission.Part[flightKey, *imap.SearchData]

// searchOnce runs a UID SEARCH when no equal one runs, or waits for the answer to an equal one.
func (s *session) searchOnce(
	key flightKey, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	if s.search == nil {
		s.search = new(part)
	}
	part := s.search
	for waitingSince := (time.Time{}); ; waitingSince = part.Start {
		var waited time.Duration
		part.Join(&s.limiter.flights, key, s.turn, &s.client, s.sharing(), waitingSince)
		if part.Waiting() {
			s.awaitSearch(part)
			waited = time.Since(part.Start)
		}
		switch {
		case waited > 0 && part.Runs && s.socket.HungUp():
			part.Run(func() (*imap.SearchData, bool, error) { return nil, true, errClientGone })
			s.refuse(s.searchEvent(waited), refusal{limit: clientGone})
			return nil, errClientGone
		case part.Refusal.Reason == admission.Exempt:
			return s.searchAlone(imapserver.NumKindUID, criteria, options)
		case part.Refusal.Is():
			r := s.limiter.searches.refusal(part.Refusal)
			s.refuse(s.searchEvent(waited), r)
			return nil, r.answer()
		case part.Runs:
			part.Run(func() (*imap.SearchData, bool, error) {
				return s.searchForAll(criteria, options, part)
			})
		}
		if waited > 0 {
			event := s.searchEvent(waited)
			if !part.Runs {
				event.Kind = EventJoined
			}
			s.report(event)
		}
		data, orphaned, err := part.Answer()
		switch {
		case orphaned && !part.Runs && !s.socket.HungUp():
			continue // it may have failed only because the client that ran it hung up
		case err != nil:
			return nil, err
		}
		if part.Runs && !part.Shared {
			return data, nil
		}
		copied := *data
		return &copied, nil
	}
}

func (s *session) searchEvent(waited time.Duration) Event {
	return Event{Kind: EventAdmitted, Command: commandSearch, User: s.user, Waited: waited}
}

// searchForAll runs a SEARCH whose answer others may get. orphaned is true if it may have failed
// only because its own client was gone.
func (s *session) searchForAll(
	criteria *imap.SearchCriteria, options *imap.SearchOptions, part *part,
) (data *imap.SearchData, orphaned bool, err error) {
	if s.sharing() != admission.Alone {
		if lost, err := s.catchUp(); err != nil {
			return nil, lost || s.socket.HungUp(), err
		}
	}
	data, err = s.runSearch(imapserver.NumKindUID, criteria, options, part)
	if data == nil && err == nil {
		err = errSearchBroke // go-imap alone would panic
	}
	return data, err != nil && s.socket.HungUp(), err
}

// catchUp updates the session before its SEARCH answers others. They may know of messages that this
// session, if it has its own snapshot, has not seen. Its client reads what is new, as after any
// other command. lost is true if it does not: it loses its connection, as part of a line may be
// sent.
func (s *session) catchUp() (lost bool, err error) {
	conn := s.conn.NetConn()
	noRecent := s.conn.EnabledCaps().Has(imap.CapIMAP4rev2)
	err = capture.Update(func(w *imapserver.UpdateWriter) error {
		return s.Session.Poll(w, true)
	}, func(response []byte) error {
		if noRecent && bytes.HasSuffix(response, []byte(" RECENT")) {
			return nil
		}
		const serverTimeout = 30 * time.Second // of go-imap, for a response
		conn.SetWriteDeadline(time.Now().Add(serverTimeout))
		_, err := conn.Write(append(response, "\r\n"...))
		conn.SetWriteDeadline(time.Time{})
		if err != nil {
			lost = true
			abort(conn)
		}
		return err
	})
	return lost, err
}

func (s *session) awaitSearch(part *part) {
	w := s.wait()
	defer s.endWait(w)
	if s.dryRun() { // switched on before SetOptions could see that this SEARCH waits
		part.Withdraw()
		part.Refusal = admission.Refusal{Reason: admission.Exempt}
		return
	}
	s.startWaitNotice(&s.limiter.searches)
	part.Wait(w.gone, func() { s.notice.Say(textRunning) })
}

func (s *session) sharing() admission.Sharing {
	switch settings := s.limiter.settings.Load(); {
	case settings.JoinRunning:
		return admission.JoinRunning
	case settings.ShareSearches:
		return admission.JoinWaiting
	default:
		return admission.Alone
	}
}

// flightKey returns what equal SEARCHes have in common. ok is false if the answer can only be for
// this session.
func (s *session) flightKey(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (key flightKey, ok bool) {
	if kind != imapserver.NumKindUID || s.account.name == "" || s.mailbox.name == "" {
		return flightKey{}, false
	}
	terms, ok := searchTerm(criteria, options)
	place, hash := s.place()
	return flightKey{place, terms.number(hash)}, ok
}
