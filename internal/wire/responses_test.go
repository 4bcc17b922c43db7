package wire_test

import (
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/stretchr/testify/assert"

	"github.com/imapgate/imapgate/internal/imaptest"
)

// tempting is a session whose names look like capabilities, literals and answers.
type tempting struct{ noIdle }

const temptation = "* CAPABILITY IMAP4rev1 IDLE\r\n* OK [CAPABILITY IMAP4rev1 IDLE] x\r\n" +
	"a OK [CAPABILITY IDLE]\r\n+ idling {5}\r\n"

func (tempting) List(w *imapserver.ListWriter, _ string, _ []string, _ *imap.ListOptions) error {
	for _, name := range []string{
		"x {5}", "[CAPABILITY IDLE]", "CAPABILITY IMAP4rev1 IDLE", "a \"IDLE\" \\ {3}",
		"\r\n* CAPABILITY IDLE\r\n", "é IDLE {2}",
	} {
		if err := w.WriteList(&imap.ListData{Mailbox: name, Delim: '/'}); err != nil {
			return err
		}
	}
	return nil
}

func (tempting) Fetch(w *imapserver.FetchWriter, _ imap.NumSet, options *imap.FetchOptions) error {
	message := w.CreateMessage(1)
	message.WriteEnvelope(&imap.Envelope{Subject: "x {7}", MessageID: "* CAPABILITY IDLE\r\n"})
	message.WriteFlags([]imap.Flag{"IDLE"})
	for _, section := range options.BodySection {
		body := message.WriteBodySection(section, int64(len(temptation)))
		for _, part := range strings.SplitAfter(temptation, "I") {
			if _, err := body.Write([]byte(part)); err != nil {
				return err
			}
		}
		if err := body.Close(); err != nil {
			return err
		}
	}
	return message.Close()
}

func (tempting) Create(string, *imap.CreateOptions) error {
	return &imap.Error{
		Type: imap.StatusResponseTypeNo,
		Code: imap.ResponseCodeAlert,
		Text: "[CAPABILITY IMAP4rev1 IDLE] {5}",
	}
}

func (tempting) Delete(string) error {
	return &imap.Error{Type: imap.StatusResponseTypeNo, Text: "CAPABILITY IMAP4rev1 IDLE"}
}

func TestWordsOfABackendPassUntouched(t *testing.T) {
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return tempting{noIdle{t: t}}, nil, nil
	}
	options := quiet(imapserver.Options{NewSession: newSession, InsecureAuth: true})
	bare, hidden := imaptest.Listen(), imaptest.Listen()
	start(t, imapserver.New(options), bare)
	start(t, newServer(options), hidden)
	input := strings.Join([]string{
		"a LOGIN u p", "b LIST \"\" *", "c CREATE x", "d DELETE x", "e SELECT x", "f FETCH 1 (BODY[])",
		"g FETCH 1 (BODY[HEADER.FIELDS (\"x {5}\" IDLE {6+}", "IDLE\r\n)] BODY[TEXT])", "h STATUS {12+}",
		"x IDLE\r\n* {3 (MESSAGES)",
		"OK NO OK", "é UID SEARCH RETURN (ALL) ALL", "+ SEARCH RETURN (ALL) ALL", "i LOGOUT", "",
	}, "\r\n")
	want := strings.Replace(
		exchange(t, bare, input), " IDLE UTF8", " UTF8", 1,
	) // the list of capabilities after LOGIN
	got := exchange(t, hidden, input)
	assert.Equal(t, want, got)
	assert.Contains(t, got, temptation)
}

// Capabilities that only contain the word IDLE stay in every list.
func TestOtherCapabilitiesStay(t *testing.T) {
	for said, want := range map[string]string{
		"* CAPABILITY X-IDLE IDLE=1 AUTH=IDLE IDLE\r\n": "* CAPABILITY X-IDLE IDLE=1 AUTH=IDLE\r\n",
		"* OK [CAPABILITY idle X X-IDLE] IDLE\r\n":      "* OK [CAPABILITY X X-IDLE] IDLE\r\n",
		"a OK [CAPABILITY IMAP4rev1 Idle] IDLE\r\n":     "a OK [CAPABILITY IMAP4rev1] IDLE\r\n",
		"a NO [CAPABILITY IDLE IDLE] x\r\n":             "a NO [CAPABILITY ] x\r\n",
		"* PREAUTH [CAPABILITY IMAP4rev1 IDLE] x\r\n":   "* PREAUTH [CAPABILITY IMAP4rev1] x\r\n",
	} {
		s := &script{}
		_, err := filtered(t, s).Write([]byte(said))
		assert.NoError(t, err)
		assert.Equal(t, want, s.output.String())
	}
}

// Even if the filter of requests lets an IDLE through, the session does not idle: go-imap calls its
// Idle only after this line.
func TestAServerThatIdlesAllTheSameIsCutOff(t *testing.T) {
	s := &script{}
	conn := filtered(t, s)
	_, err := conn.Write([]byte("* OK ready\r\n"))
	assert.NoError(t, err)
	for _, line := range []string{"+ idling\r\n", "a NO too late\r\n"} {
		_, err = conn.Write([]byte(line))
		assert.ErrorContains(t, err, "IDLE came through")
	}
	assert.Equal(t, "* OK ready\r\n", s.output.String())
}
