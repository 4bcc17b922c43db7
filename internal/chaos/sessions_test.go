package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/keep"
	"github.com/imapgate/imapgate/internal/stack"
	"github.com/imapgate/imapgate/limits"
)

// visit is what the witness's two sessions of a connection share.
type visit struct {
	witness         *witness
	user, ip        string
	name            string // of the selected mailbox
	connection      *arrival
	command         *arrival // the running command
	login           *arrival
	leaveConnection func()
	leaveLogin      func()
}

func (v *visit) stay(a *arrival) *stay {
	return &stay{user: v.user, ip: v.ip, arrival: a}
}

// checkRefusal checks the answer to a refused connection or login. A limit must not be the reason
// if the client has been exempt since it came. A decision from before that time still stands.
func (v *visit) checkRefusal(err error) {
	var answer *imap.Error
	if errors.As(err, &answer) && answer.Code == imap.ResponseCodeLimit &&
		v.witness.surelyExempt(v.connection) {
		v.witness.t.Errorf("%s is exempt, and reads %q", v.ip, answer.Text)
	}
}

// around returns next with the limits around it, and with the witness on both sides of the limits.
func (w *witness) around(limiter *limits.Limiter, next stack.NewSessionFunc) stack.NewSessionFunc {
	limited := limiter.Wrap(
		func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			found, _ := w.visits.Load(conn)
			v := found.(*visit)
			v.leaveConnection = w.enter(&w.connections, v.stay(v.connection))
			admitted := false
			defer func() {
				if !admitted {
					v.leaveConnection()
				}
			}()
			inner, greeting, err := next(conn)
			if err != nil {
				return inner, greeting, err
			}
			admitted = true
			return keep.Optional(&inside{inner, v}, inner), greeting, nil
		},
	)
	return func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		host, _, _ := net.SplitHostPort(conn.NetConn().RemoteAddr().String())
		v := &visit{witness: w, ip: host}
		v.connection = w.arrive(host, noTimeout)
		w.visits.Store(conn, v)
		defer w.visits.Delete(conn)
		inner, greeting, err := limited(conn)
		if err != nil {
			v.checkRefusal(err)
			return nil, nil, err
		}
		return keep.Optional(&outside{inner, v, conn}, inner), greeting, nil
	}
}

func noTimeout(*limits.Options) time.Duration { return 0 }

// A login waits for other logins of its user and address, for its check, for other checks of its
// network if there were wrong passwords meanwhile, and for its check again.
func loginTimeout(options *limits.Options) time.Duration {
	return 4*30*time.Second + options.MaxGuessDelay
}

func fetchTimeout(options *limits.Options) time.Duration  { return options.FetchQueueTimeout }
func otherTimeout(options *limits.Options) time.Duration  { return options.CommandQueueTimeout }
func searchTimeout(options *limits.Options) time.Duration { return options.SearchQueueTimeout }
func question(v *visit, criteria *imap.SearchCriteria) string {
	return fmt.Sprint(v.user, v.name, *criteria)
}

// outside is the session that the server sees.
type outside struct {
	imapserver.Session
	*visit
	conn *imapserver.Conn
}

func (s *outside) Login(username, password string) error {
	s.login = s.witness.arrive(s.ip, loginTimeout)
	stay := &stay{user: strings.ToLower(username), ip: s.ip, arrival: s.login}
	stay.gone = s.witness.flag(s.conn.NetConn().RemoteAddr().String())
	entered, decided := false, s.witness.come(stay)
	defer func() { decided(entered) }()
	err := s.Session.Login(username, password)
	if !s.login.inside {
		s.witness.endWait(s.login, "LOGIN", 0)
	}
	if err != nil {
		s.checkRefusal(err)
		return err
	}
	s.user = stay.user
	s.leaveLogin = s.witness.enter(&s.witness.logins, stay)
	entered = true
	return nil
}

func (s *outside) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

// FetchContext is needed because imapgate.Server has a limiter of its own around this session. That
// limiter would otherwise find the FetchContext below the witness.
func (s *outside) FetchContext(
	_ context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	a := s.witness.arrive(s.ip, fetchTimeout)
	s.command = a
	defer func() { s.command = nil }()
	err := s.Session.Fetch(w, numSet, options)
	if !a.inside {
		s.witness.endWait(a, "FETCH", 0)
	}
	if errors.Is(err, limits.ErrTooManyFetches) {
		s.witness.refuse(s.stay(a), "FETCH")
	}
	return err
}

func (s *outside) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.SearchContext(context.Background(), kind, criteria, options)
}

func (s *outside) SearchContext(
	_ context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
	options *imap.SearchOptions,
) (*imap.SearchData, error) {
	a, answered := s.witness.ask(s.ip, question(s.visit, criteria), searchTimeout)
	defer answered()
	s.command = a
	defer func() { s.command = nil }()
	data, err := s.Session.Search(kind, criteria, options)
	switch {
	case a.inside:
	case errors.Is(err, limits.ErrTooManySearches):
		s.witness.endWait(a, "SEARCH", 0)
		s.witness.refuse(s.stay(a), "SEARCH")
	default: // it shares the answer of another SEARCH, which had to begin by its timeout
		s.witness.endWait(a, "shared SEARCH", s.witness.longestSearch())
	}
	return data, err
}

// Close runs before the limits remove the session.
func (s *outside) Close() error {
	if s.leaveLogin != nil {
		s.leaveLogin()
	}
	s.leaveConnection()
	return s.Session.Close()
}

// inside is the session that the limits see.
type inside struct {
	imapserver.Session
	*visit
}

func (s *inside) Login(username, password string) error {
	s.login.inside = true
	s.witness.endWait(s.login, "LOGIN", 0)
	defer s.witness.enter(&s.witness.checks, s.stay(s.login))()
	return s.Session.Login(username, password)
}

func (s *inside) Fetch(
	w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	return s.FetchContext(context.Background(), w, numSet, options)
}

func (s *inside) FetchContext(
	ctx context.Context, w *imapserver.FetchWriter, numSet imap.NumSet, options *imap.FetchOptions,
) error {
	s.command.inside = true
	s.witness.endWait(s.command, "FETCH", 0)
	defer s.witness.enter(&s.witness.fetches, s.stay(s.command))()
	return keep.Fetch(ctx, s.Session, w, numSet, options)
}

func (s *inside) Search(
	kind imapserver.NumKind, criteria *imap.SearchCriteria, options *imap.SearchOptions,
) (*imap.SearchData, error) {
	return s.SearchContext(context.Background(), kind, criteria, options)
}

// Poll runs before a SEARCH that others may share, when the SEARCH has stopped waiting.
func (s *inside) Poll(w *imapserver.UpdateWriter, allowExpunge bool) error {
	if s.command != nil {
		s.beginSearch()
	}
	return s.Session.Poll(w, allowExpunge)
}

// beginSearch notes once that a SEARCH has stopped waiting.
func (s *inside) beginSearch() {
	if !s.command.inside {
		s.command.inside = true
		s.witness.endWait(s.command, "SEARCH", 0)
	}
}

func (s *inside) SearchContext(
	ctx context.Context, kind imapserver.NumKind, criteria *imap.SearchCriteria,
	options *imap.SearchOptions,
) (*imap.SearchData, error) {
	s.beginSearch()
	defer s.witness.enter(&s.witness.searches, s.stay(s.command))()
	start := time.Now()
	defer func() { s.witness.searched(time.Since(start)) }()
	return keep.Search(ctx, s.Session, kind, criteria, options)
}
