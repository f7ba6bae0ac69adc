//! What the demo's partner team has written for agencies.

use wire::{CreateResource, ResourceKind};

/// A resource of the story.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// UUID.
    pub id: &'static str,
    /// What it is for.
    pub kind: ResourceKind,
    /// Title.
    pub title: &'static str,
    /// A sentence.
    pub summary: &'static str,
    /// Paragraphs.
    pub text: &'static str,
}

impl Written {
    /// The call that writes it.
    pub fn form(&self) -> CreateResource {
        CreateResource {
            id: self.id.to_owned(),
            kind: self.kind,
            title: self.title.to_owned(),
            summary: self.summary.to_owned(),
            text: self.text.to_owned(),
            link: None,
        }
    }
}

/// All of them, in their order.
pub const RESOURCES: &[Written] = &[
    Written {
        id: "019a0001-0000-7000-8000-000000000001",
        kind: ResourceKind::EmailTemplate,
        title: "Introduce AIKit to a client you know",
        summary: "For a client whose site you run and whose team answers the same questions every day.",
        text: "\
Subject: Fewer repeated questions for your team

Hello,

When we looked at your site last time, we noticed how many of the messages that come through it ask the same few things: prices, dates, how to change an order. Your team answers each of them by hand.

We have started to use AIKit for clients with that problem. It answers from your own pages and documents, says so when it does not know, and hands over to a person with the whole conversation. It takes about a week to set up, and you can try it for two weeks before you decide.

Here you can see what it costs and start the trial:
{link}
We are a partner of AIKit: if you become a customer through this link, AIKit pays us a commission. You pay the same price as without it.

If you like, we look at twenty of last month’s messages together first. After half an hour we know whether it is worth your while. It is not for everybody.

Best regards
{agency}",
    },
    Written {
        id: "019a0001-0000-7000-8000-000000000002",
        kind: ResourceKind::CaseStudy,
        title: "Polder Logistics: a third fewer calls in twelve weeks",
        summary: "A freight company of 140 people, for a client who asks what it brings and how long it takes.",
        text: "\
The company
Polder Logistics moves refrigerated goods between eleven depots. Nine people in its office answer around 1,900 calls and e-mails a week.

What was wrong
Six in ten of those messages asked where a delivery was or which papers it needed. The answers stood in the customer portal, where nobody looked.

What the agency did
In the first week it chose the 40 pages that answer those questions and corrected the seven that were out of date. In the second it put AIKit on the portal and behind the contact form, for existing customers only. From the fourth week on it read a sample of fifty answers every Friday with the head of the office, and changed a page whenever an answer was not good.

What came of it
After twelve weeks there were 31 % fewer calls about deliveries, and half of all e-mails were answered within 9 minutes, where it had taken 4 hours. The office did not become smaller; two people now look after new customers. In one answer of twenty-five AIKit still hands over to a person, which is how the company wants it.

What we would do differently
Read the answers with the client from the first week on. The seven old pages cost more trust than any wrong answer.

Please keep with it: the figures are the client’s own, measured in its telephone system from March to May, and other companies will have others. Say that you are a partner of AIKit and earn a commission when you show this to a client.",
    },
    Written {
        id: "019a0001-0000-7000-8000-000000000003",
        kind: ResourceKind::BestPractice,
        title: "Eight things that partners with lasting clients do",
        summary: "What the agencies whose clients stay have in common, from before the first mail to the first year.",
        text: "\
1. Begin with a client whose questions you know. Three agencies in four won their first client from those whose site they already ran.

2. Look at real messages before you recommend anything. Twenty of them, for half an hour, with the person who answers them. Where fewer than five ask something that stands on a page, do not recommend AIKit.

3. Make a link for each occasion: the newsletter, the talk, the proposal. After two months you see which of them brings clients, and stop doing the others.

4. Say that you earn from it, beside the link and in words that nobody has to look for: \u{201c}If you become a customer through this link, AIKit pays us a commission. You pay the same price.\u{201d} It is the law in many countries, and clients trust you more and not less for it. The words in three lengths are on the page Links.

5. Never put your own people or your own company through your link. Such sign-ups are looked at by a person and do not count.

6. Offer the set-up as work of yours. A client whose pages were put in order first is still there after a year about twice as often.

7. Write down in the first week what the client wants to be different in three months, in figures. Look at them together when the three months are over.

8. Call when the first invoice comes. Most clients who leave do so in the second month, and most of them would have stayed for one answer.",
    },
];
