package limits_test

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
)

// quick is a session that does nothing for each command. It allocates no memory for its answers, as
// collecting that would cost more than a command, and more the longer a command takes.
type quick struct{ *backendSession }

var (
	quickSelect = &imap.SelectData{UIDValidity: 1, UIDNext: 1}
	quickStatus = &imap.StatusData{Mailbox: "INBOX"}
	quickSearch = &imap.SearchData{All: imap.UIDSet{}}
)

func (quick) Namespace() (*imap.NamespaceData, error) { return nil, nil }

func (quick) Move(*imapserver.MoveWriter, imap.NumSet, string) error { return nil }

func (quick) Select(string, *imap.SelectOptions) (*imap.SelectData, error) {
	return quickSelect, nil
}

func (quick) Status(string, *imap.StatusOptions) (*imap.StatusData, error) {
	return quickStatus, nil
}

func (quick) Append(
	string, imap.LiteralReader, *imap.AppendOptions,
) (*imap.AppendData, error) {
	return nil, nil
}

func (quick) Search(
	imapserver.NumKind, *imap.SearchCriteria, *imap.SearchOptions,
) (*imap.SearchData, error) {
	return quickSearch, nil
}

func newQuick(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
	return quick{&backendSession{backend: &backend{}}}, nil, nil
}

// eachSession runs the benchmark on a logged-in session, without limits and with them.
func eachSession(b *testing.B, run func(b *testing.B, session imapserver.Session)) {
	for _, limited := range []bool{false, true} {
		newSession := limits.NewSessionFunc(newQuick)
		if limited {
			newSession = limits.New(limits.DefaultOptions()).Wrap(newSession)
		}
		var session imapserver.Session
		server := imaptest.NewServer(b, &imapserver.Options{
			NewSession: func(conn *imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				var err error
				session, _, err = newSession(conn)
				return session, nil, err
			},
			InsecureAuth: true,
		})
		server.Login("karen", "pass")
		b.Run(fmt.Sprintf("limits=%t", limited), func(b *testing.B) {
			b.ReportAllocs()
			run(b, session)
		})
	}
}

// The cost of a command beyond that of the bare session, when nothing waits.
//
//	go test -run '^$' -bench 'Fetch|Search' -count 5 ./limits
func BenchmarkFetch(b *testing.B) {
	eachSession(b, func(b *testing.B, session imapserver.Session) {
		var numSet imap.NumSet = imap.SeqSetNum(1)
		options := &imap.FetchOptions{Flags: true}
		for b.Loop() {
			if err := session.Fetch(nil, numSet, options); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// The same for each of the other commands.
//
//	go test -run '^$' -bench Command -count 5 ./limits
func BenchmarkCommand(b *testing.B) {
	var numSet imap.NumSet = imap.SeqSetNum(1)
	status, list := &imap.StatusOptions{NumMessages: true}, &imap.ListOptions{}
	selects, appends := &imap.SelectOptions{}, &imap.AppendOptions{}
	patterns := []string{"*"}
	var message imap.LiteralReader = literal{bytes.NewReader(nil)}
	for name, run := range map[string]func(imapserver.Session) error{
		"SELECT": func(s imapserver.Session) error {
			_, err := s.Select("INBOX", selects)
			return err
		},
		"STATUS": func(s imapserver.Session) error {
			_, err := s.Status("INBOX", status)
			return err
		},
		"LIST": func(s imapserver.Session) error { return s.List(nil, "", patterns, list) },
		"NAMESPACE": func(s imapserver.Session) error {
			_, err := s.(imapserver.SessionNamespace).Namespace()
			return err
		},
		"APPEND": func(s imapserver.Session) error {
			_, err := s.Append("INBOX", message, appends)
			return err
		},
		"COPY": func(s imapserver.Session) error {
			_, err := s.Copy(numSet, "Work")
			return err
		},
		"MOVE": func(s imapserver.Session) error {
			return s.(imapserver.SessionMove).Move(nil, numSet, "Work")
		},
		"STORE":     func(s imapserver.Session) error { return s.Store(nil, numSet, nil, nil) },
		"EXPUNGE":   func(s imapserver.Session) error { return s.Expunge(nil, nil) },
		"CREATE":    func(s imapserver.Session) error { return s.Create("Work", nil) },
		"DELETE":    func(s imapserver.Session) error { return s.Delete("Work") },
		"RENAME":    func(s imapserver.Session) error { return s.Rename("Work", "Play", nil) },
		"SUBSCRIBE": func(s imapserver.Session) error { return s.Subscribe("Work") },
	} {
		b.Run(name, func(b *testing.B) {
			eachSession(b, func(b *testing.B, session imapserver.Session) {
				for b.Loop() {
					if err := run(session); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

type literal struct{ *bytes.Reader }

func BenchmarkSearch(b *testing.B) {
	eachSession(b, func(b *testing.B, session imapserver.Session) {
		benchmarkSearch(b, session, imapserver.NumKindSeq)
	})
}

// A UID SEARCH in a mailbox may be shared.
func BenchmarkSharedSearch(b *testing.B) {
	eachSession(b, func(b *testing.B, session imapserver.Session) {
		if _, err := session.Select("INBOX", &imap.SelectOptions{}); err != nil {
			b.Fatal(err)
		}
		benchmarkSearch(b, session, imapserver.NumKindUID)
	})
}

func benchmarkSearch(b *testing.B, session imapserver.Session, kind imapserver.NumKind) {
	criteria := &imap.SearchCriteria{
		Header:  []imap.SearchCriteriaHeaderField{{Key: "From", Value: "karen"}},
		NotFlag: []imap.Flag{imap.FlagSeen},
	}
	options := &imap.SearchOptions{ReturnAll: true}
	for b.Loop() {
		if _, err := session.Search(kind, criteria, options); err != nil {
			b.Fatal(err)
		}
	}
}

// The time until 200 simultaneous logins of one user are answered, and how many password checks
// that took. A check costs as much as a careful PBKDF2.
//
//	go test -run '^$' -bench LoginStorm -benchtime 5x ./limits
func BenchmarkLoginStorm(b *testing.B) {
	for _, limited := range []bool{false, true} {
		b.Run(fmt.Sprintf("limits=%t", limited), func(b *testing.B) {
			var checks int64
			for b.Loop() {
				mail := &backend{login: func(_, password string) error {
					_, err := pbkdf2.Key(sha256.New, password, []byte("salt"), 100_000, 32)
					return err
				}}
				newSession := mail.NewSession
				if limited {
					newSession = limits.New(limits.DefaultOptions()).Wrap(newSession)
				}
				server := imaptest.NewServer(b, &imapserver.Options{NewSession: newSession, InsecureAuth: true})
				var all sync.WaitGroup
				for range 200 {
					all.Go(func() {
						c := server.Dial()
						c.Line()
						if answer := imaptest.Last(c.Cmd("a LOGIN karen pass")); !strings.HasPrefix(answer, "OK") &&
							answer != noUserLogins {
							b.Errorf("login: %s", answer)
						}
					})
				}
				all.Wait()
				server.Close()
				checks += mail.checks.Load()
			}
			b.ReportMetric(float64(checks)/float64(b.N), "checks/op")
		})
	}
}
