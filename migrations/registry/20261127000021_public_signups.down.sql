DROP TABLE public_signups;
